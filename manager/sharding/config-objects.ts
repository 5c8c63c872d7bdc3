import { toCtrlmeshError } from "#api/errors";
import type { KubernetesObject } from "#api/meta";
import { finalizer, group } from "#api/names";
import { parseShardingConfig, type ShardingConfig, type ShardingConfigStatus } from "#api/sharding-config";
import { isRecord } from "#kube/client/api-error";
import type { KubeClient, ResourceKind } from "#kube/client/client";
import type { NamespaceConfigs } from "./pod-classes.ts";

export const shardingConfigKind: ResourceKind = {
  group,
  version: "v1alpha1",
  resource: "shardingconfigs",
  namespaced: true,
};

/** Reads the ShardingConfigs of a namespace. One that can't be read and is being deleted counts as gone. */
export function readConfigs(objects: readonly KubernetesObject[]): NamespaceConfigs {
  const readable: ShardingConfig[] = [];
  const unreadable = new Map<string, string>();
  for (const object of objects) {
    try {
      readable.push(parseShardingConfig(object));
    } catch (thrown) {
      const { name = "", deletionTimestamp } = object.metadata ?? {};
      if (deletionTimestamp === undefined) unreadable.set(name, toCtrlmeshError(thrown).message);
    }
  }
  return { readable, unreadable };
}

/** Puts our finalizer on, or takes it off. @throws API_CONFLICT when the object changed; others of the client */
export async function setFinalizer(
  client: KubeClient,
  { metadata = {} }: KubernetesObject,
  wanted: boolean,
  signal: AbortSignal,
): Promise<void> {
  const { name = "", namespace = "", resourceVersion, finalizers = [] } = metadata;
  const others = finalizers.filter((each) => each !== finalizer);
  // With the resourceVersion, since a merge patch replaces the list: another's finalizer must not be lost.
  const next = { resourceVersion, finalizers: wanted ? [...others, finalizer] : others };
  const body = { metadata: next };
  await client.patch(shardingConfigKind, { namespace, name }, { type: "merge", body }, { signal });
}

export function hasFinalizer({ metadata }: Pick<KubernetesObject, "metadata">): boolean {
  return metadata?.finalizers?.includes(finalizer) === true;
}

/** Writes a status; members that the stored one has and the next one has not are taken away. */
export async function writeStatus(
  client: KubeClient,
  object: KubernetesObject,
  next: ShardingConfigStatus,
  signal: AbortSignal,
): Promise<void> {
  const { name = "", namespace = "" } = object.metadata ?? {};
  const stored = isRecord(object.status) ? object.status : {};
  const removed = Object.keys(stored).filter((key) => !Object.hasOwn(next, key));
  const status = { ...next, ...Object.fromEntries(removed.map((key) => [key, null])) };
  const patch = { type: "merge", body: { status } } as const;
  await client.patch(shardingConfigKind, { namespace, name }, patch, { signal, subresource: "status" });
}
