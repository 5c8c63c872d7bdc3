import type { HashName } from "#api/bucket";
import { overlapsAndGaps } from "#api/coverage";
import { type Requirement, requirementsOf } from "#api/label-selector";
import type { ShardLabels } from "#api/names";
import type { ShardingConfig } from "#api/sharding-config";
import { covers, patternsOf } from "./limits.ts";

export interface CoverageSettings {
  readonly shardLabels: ShardLabels;
  readonly hash: HashName;
  /** Puts the shards of each operator together; roots are in no group (`ownership.md` 1). */
  readonly groupConfigs: (
    configs: readonly ShardingConfig[],
  ) => readonly { readonly configs: readonly ShardingConfig[] }[];
}

/**
 * What the shards of one operator would own twice or not at all, one sentence per resource. Findings never
 * refuse: YAML of several shards is applied one after the other, and the ledger grants each atom once.
 */
export function coverageWarnings(
  config: ShardingConfig,
  all: readonly ShardingConfig[],
  settings: CoverageSettings,
): string[] {
  const others = all.filter(({ metadata }) => metadata.name !== config.metadata.name);
  const group = settings.groupConfigs([...others, config]).find(({ configs }) => configs.includes(config));
  const shards = group?.configs ?? [];
  if (shards.length < 2) return [];
  const findings = new Map<string, string[]>();
  for (const { group, resource } of limitedResources(shards)) {
    const claimants = shards.map((shard) => ({
      shard: shard.metadata.name,
      selectors: [selectorFor(shard, { group, resource })],
    }));
    const { overlaps, gaps } = overlapsAndGaps(claimants, settings.shardLabels, settings.hash);
    const name = group === "" || group === "*" ? resource : `${resource}.${group}`;
    for (const sentence of sentencesOf(overlaps, gaps)) {
      findings.set(sentence, [...(findings.get(sentence) ?? []), name]);
    }
  }
  return [...findings].map(([sentence, resources]) => shortened(`${few(resources)}: ${sentence}`));
}

function limitedResources(shards: readonly ShardingConfig[]) {
  const found = new Map<string, { readonly group: string; readonly resource: string }>();
  for (const limit of shards.flatMap(({ spec }) => spec.limits ?? [])) {
    for (const { group, resource } of patternsOf(limit, "")) {
      if (isShared(limit, resource)) continue;
      found.set(`${group}/${resource}`, { group, resource });
    }
  }
  return found.values();
}

function isShared(
  { relateResources = [] }: NonNullable<ShardingConfig["spec"]["limits"]>[number],
  resource: string,
) {
  return relateResources.some(
    ({ access, resources = [] }) => access === "Shared" && resources.includes(resource),
  );
}

/** A resource that no limit names is seen whole. */
function selectorFor(
  { spec }: ShardingConfig,
  wanted: { readonly group: string; readonly resource: string },
): Requirement[] {
  const limit = (spec.limits ?? []).find((one) =>
    patternsOf(one, "").some((pattern) => covers(pattern, wanted)),
  );
  return requirementsOf(limit?.selector);
}

function sentencesOf(
  overlaps: ReturnType<typeof overlapsAndGaps>["overlaps"],
  gaps: readonly string[],
): string[] {
  const byShards = new Map<string, string[]>();
  for (const { atom, shards } of overlaps) {
    const key = shards.join(" and ");
    byShards.set(key, [...(byShards.get(key) ?? []), atom]);
  }
  return [
    ...[...byShards].map(
      ([shards, atoms]) => `${few(atoms)} claimed by ${shards}; each stays with one of them`,
    ),
    ...(gaps.length === 0 ? [] : [`${few(gaps)} belong to no shard, so nobody sees their objects`]),
  ];
}

function few(names: readonly string[]): string {
  return names.length <= 4
    ? names.join(", ")
    : `${names.slice(0, 3).join(", ")} and ${names.length - 3} more`;
}

/** The API server cuts warnings at 256 characters. */
function shortened(text: string): string {
  return text.length <= 250 ? text : `${text.slice(0, 249)}…`;
}
