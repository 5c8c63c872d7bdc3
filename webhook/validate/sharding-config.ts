import { isDeepStrictEqual } from "node:util";
import { CtrlmeshError } from "#api/errors";
import { parseShardingConfig, type ShardingConfig } from "#api/sharding-config";
import { type AdmissionRequest, refuse, type Verdict } from "../admission-review.ts";
import type { ShardingConfigLister } from "../listers.ts";
import { refuseUnreachableLimits } from "./limits.ts";
import { validateWith } from "./review.ts";
import { type CoverageSettings, coverageWarnings } from "./siblings.ts";

export interface ShardingConfigValidationDeps {
  readonly shardingConfigs: ShardingConfigLister;
  readonly coverage: CoverageSettings;
}

/**
 * Refuses what no shard can be made of (`spec/ctrlmesh.md` 5.5, and what the schema says); warns of overlaps
 * and gaps among the shards of one operator.
 */
export function validateShardingConfig(
  request: AdmissionRequest,
  deps: ShardingConfigValidationDeps,
  signal: AbortSignal,
): Promise<Verdict> {
  return validateWith(request, parseShardingConfig, async (config) => {
    const { limits = [], root } = config.spec;
    refuseUnreachableLimits(limits, "spec.limits");
    refuseUnreachableLimits(root?.resourceSelector ?? [], "spec.root.resourceSelector");
    const moved = request.operation === "UPDATE" ? selectorProblem(request.oldObject, config) : undefined;
    if (moved !== undefined) return refuse(moved);
    const namespace = config.metadata.namespace ?? request.namespace ?? "";
    const { configs } = await deps.shardingConfigs.read(namespace, signal);
    const judged = { ...config, metadata: { ...config.metadata, namespace } };
    return { allowed: true, warnings: coverageWarnings(judged, configs, deps.coverage) };
  });
}

function selectorProblem(oldObject: unknown, next: ShardingConfig): CtrlmeshError | undefined {
  const previous = readable(oldObject);
  if (previous === undefined || previous.spec.root !== undefined || next.spec.root !== undefined)
    return undefined;
  if (isDeepStrictEqual(previous.spec.selector, next.spec.selector)) return undefined;
  return new CtrlmeshError("INVALID_RESOURCE", {
    where: "spec.selector",
    what: "it cannot be changed: a running pod never changes its shard",
    hint: "delete this ShardingConfig and create another one",
  });
}

/** A stored object that today's rules refuse may be corrected in any way. */
function readable(object: unknown): ShardingConfig | undefined {
  try {
    return parseShardingConfig(object);
  } catch {
    return undefined;
  }
}
