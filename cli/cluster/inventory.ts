import type { KubernetesObject } from "#api/meta";
import type { CallOptions, KubeClient } from "#kube/client/client";
import { listAll } from "#kube/client/list-all";
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
  const query = namespace === undefined ? {} : { namespace };
  const [configs, ledgers] = await Promise.all([
    listAll(client, kinds.shardingConfigs, query, call),
    listAll(client, kinds.ledgers, query, call),
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
