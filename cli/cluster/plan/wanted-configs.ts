import { CtrlmeshError, toCtrlmeshError } from "#api/errors";
import type { KubernetesObject } from "#api/meta";
import { group } from "#api/names";
import { parseShardingConfig, type ShardingConfig } from "#api/sharding-config";
import { isApiError } from "#kube/client/api-error";
import type { CallOptions, KubeClient } from "#kube/client/client";
import { readConfigs } from "#manager/sharding/config-objects";
import { type Manifest, readManifests } from "../../manifests.ts";
import type { NamespaceInventory } from "../inventory.ts";
import { kinds } from "../kinds.ts";

/**
 * ShardingConfigs of files, each in its namespace.
 *
 * @throws INVALID_RESOURCE with file and document; FILE_UNREADABLE
 */
export async function readWantedConfigs(
  files: readonly string[],
  namespace: string,
): Promise<readonly ShardingConfig[]> {
  const manifests = (await readManifests(files)).flatMap(items).filter(isShardingConfig);
  if (manifests.length > 0) return manifests.map((manifest) => parsed(manifest, namespace));
  throw new CtrlmeshError("INVALID_RESOURCE", {
    where: files.join(", "),
    what: "there is no ShardingConfig in it",
    hint: "give the file that you are going to apply",
  });
}

/** The objects of a List, as kubectl takes them. */
function items({ place, source, value }: Manifest): Manifest[] {
  if (value.kind !== "List" || !Array.isArray(value.items)) return [{ place, source, value }];
  return value.items.map((item: Record<string, unknown>, index) => ({
    place: `${place}: items[${index}]`,
    source,
    value: item,
  }));
}

function isShardingConfig({ value }: Manifest): boolean {
  return value.kind === "ShardingConfig" && value.apiVersion === `${group}/v1alpha1`;
}

function parsed({ place, value }: Manifest, namespace: string): ShardingConfig {
  const object: KubernetesObject = value;
  try {
    return parseShardingConfig({ ...object, metadata: { namespace, ...object.metadata } });
  } catch (thrown) {
    const error = toCtrlmeshError(thrown);
    throw new CtrlmeshError(error.code, { where: place, what: error.message, cause: thrown });
  }
}

/**
 * Lets the API server judge a ShardingConfig as if it were applied: schema, rules and webhook.
 *
 * @returns false where we may not apply, so that nobody has judged it
 * @throws INVALID_RESOURCE with the API server's words when it would be refused
 */
export async function judgedByServer(
  client: KubeClient,
  config: ShardingConfig,
  call: CallOptions,
): Promise<boolean> {
  const { name, namespace = "" } = config.metadata;
  const body: KubernetesObject = {
    apiVersion: `${group}/v1alpha1`,
    kind: "ShardingConfig",
    metadata: { name, namespace, labels: config.metadata.labels ?? {} },
    spec: config.spec,
  };
  const options = { ...call, dryRun: true, fieldManager: "ctrlmesh-plan" };
  try {
    await client.patch(
      kinds.shardingConfigs,
      { name, namespace },
      { type: "apply", body, force: true },
      options,
    );
    return true;
  } catch (thrown) {
    call.signal.throwIfAborted();
    const { message } = toCtrlmeshError(thrown);
    if (isApiError(thrown, "API_UNREACHABLE")) throw thrown;
    if (isApiError(thrown, "API_FORBIDDEN") && !message.includes("denied the request")) return false;
    throw new CtrlmeshError("INVALID_RESOURCE", {
      where: `ShardingConfig ${namespace}/${name}`,
      what: `the API server would refuse it: ${message}`,
      cause: thrown,
    });
  }
}

/** The inventory as it will be: wanted ones in the place of those of the same name, new ones as the youngest. */
export function withWanted(
  inventory: NamespaceInventory,
  wanted: readonly ShardingConfig[],
  now: Date,
): NamespaceInventory {
  const names = new Set(wanted.map(({ metadata }) => metadata.name));
  const stored = new Map(inventory.objects.map((object) => [object.metadata?.name ?? "", object]));
  const next = wanted.map((config): ShardingConfig => {
    const present = stored.get(config.metadata.name)?.metadata;
    const creationTimestamp = present?.creationTimestamp ?? now.toISOString();
    const metadata = { ...config.metadata, creationTimestamp, labels: config.metadata.labels ?? {} };
    return { ...config, metadata };
  });
  const { readable, unreadable } = readConfigs(inventory.objects);
  return {
    ...inventory,
    configs: {
      readable: [...readable.filter(({ metadata }) => !names.has(metadata.name)), ...next],
      unreadable: new Map([...unreadable].filter(([name]) => !names.has(name))),
    },
  };
}
