import { CtrlmeshError } from "#api/errors";
import type { KubernetesObject } from "#api/meta";
import { isApiError } from "#kube/client/api-error";
import type { CallOptions, KubeClient, ResourceKind } from "#kube/client/client";
import { listAll, type WholeList } from "#kube/client/list-all";
import { readConfigs } from "#manager/sharding/config-objects";
import { readLedger, type StoredLedger } from "#manager/sharding/ledger";
import { type NamespaceConfigs, type ObservedPod, observePod } from "#manager/sharding/pod-classes";
import { kinds } from "./kinds.ts";

/** One namespace that has operators: what is wanted, what is recorded and what runs, as the API server has it. */
export interface NamespaceInventory {
  readonly namespace: string;
  readonly objects: readonly KubernetesObject[];
  readonly configs: NamespaceConfigs;
  readonly ledgers: readonly StoredLedger[];
  /** resourceVersion of each ledger, by name: equal before and after means that nothing moved. */
  readonly ledgerVersions: ReadonlyMap<string, string>;
  readonly pods: readonly ObservedPod[];
  readonly podObjects: readonly KubernetesObject[];
}

/**
 * All objects of a kind of ours.
 *
 * @throws API_NOT_FOUND, saying so, where our kinds are not installed; what `KubeClient.list` throws
 */
export async function listOurs(
  client: KubeClient,
  kind: ResourceKind,
  namespace: string | undefined,
  call: CallOptions,
): Promise<WholeList> {
  try {
    return await listAll(client, kind, namespace === undefined ? {} : { namespace }, call);
  } catch (cause) {
    if (!isApiError(cause, "API_NOT_FOUND")) throw cause;
    throw new CtrlmeshError("API_NOT_FOUND", {
      where: `${kind.resource}.${kind.group}`,
      what: "the API server has no such kind: ctrlmesh is not installed in this cluster",
      hint: "see what is missing with ctrlmesh check",
      cause,
    });
  }
}

/**
 * Namespaces that have ShardingConfigs or ledgers, by name.
 *
 * @param namespace only this one
 * @throws what `KubeClient.list` throws: API_NOT_FOUND when our kinds are not installed
 */
export async function readInventory(
  client: KubeClient,
  namespace: string | undefined,
  call: CallOptions,
): Promise<readonly NamespaceInventory[]> {
  const [configs, ledgers] = await Promise.all([
    listOurs(client, kinds.shardingConfigs, namespace, call),
    listOurs(client, kinds.ledgers, namespace, call),
  ]);
  const names = [...configs.objects, ...ledgers.objects].map(({ metadata }) => metadata?.namespace ?? "");
  const inNamespace = (name: string) => (object: KubernetesObject) => object.metadata?.namespace === name;
  return await Promise.all(
    [...new Set(names)].sort().map(async (name): Promise<NamespaceInventory> => {
      const objects = configs.objects.filter(inNamespace(name));
      const stored = ledgers.objects.filter(inNamespace(name));
      const pods = await listAll(client, kinds.pods, { namespace: name }, call);
      return {
        namespace: name,
        objects,
        configs: readConfigs(objects),
        ledgers: stored.map(readLedger),
        ledgerVersions: new Map(
          stored.map(({ metadata }) => [metadata?.name ?? "", metadata?.resourceVersion ?? ""]),
        ),
        pods: pods.objects.map(observePod),
        podObjects: pods.objects,
      };
    }),
  );
}

/** Shards whose ShardingConfigs stand in no ledger that can be read: nobody has granted them anything. */
export function shardsWithoutLedger({ configs, ledgers }: NamespaceInventory): string[] {
  const recorded = new Set(
    ledgers.flatMap((ledger) => ("spec" in ledger ? ledger.spec.shards.map(({ name }) => name) : [])),
  );
  return configs.readable
    .filter(({ spec, metadata }) => spec.root === undefined && !recorded.has(metadata.name))
    .map(({ metadata }) => metadata.name);
}
