import type { Condition, KubernetesObject } from "#api/meta";
import type { KubeClient, ResourceKind } from "#kube/client/client";
import { awaitCondition } from "../await-condition.ts";
import { type OperatorRecord, type Proof, prove } from "./proof.ts";

/** What the demo reads from its cluster: only objects that anybody could read with kubectl. */

export const operatorNamespace = "demo";
export const operatorName = "digest-operator";
const recordLabel = "example.com/operator-record=true";

const configMaps: ResourceKind = { group: "", version: "v1", resource: "configmaps", namespaced: true };
const shardingConfigs: ResourceKind = {
  group: "ctrlmesh.kusionstack.io",
  version: "v1alpha1",
  resource: "shardingconfigs",
  namespaced: true,
};

export interface Waiting {
  readonly client: KubeClient;
  readonly signal: AbortSignal;
  readonly limitMs: number;
}

/** A shard as the demo shows it. */
export interface ShardView {
  readonly name: string;
  readonly pods: readonly string[];
}

/**
 * Resolves when every ShardingConfig says Ready for its newest generation: granted, and acknowledged by its
 * pods. `onChange` is told each new sentence of a condition that is not yet true.
 */
export async function shardsReady(
  { client, signal, limitMs }: Waiting,
  onChange: (sentence: string) => void,
): Promise<readonly ShardView[]> {
  let missing = "no ShardingConfig seen";
  return await awaitCondition(
    async () => {
      const { items } = await client.list(shardingConfigs, { namespace: operatorNamespace }, { signal });
      const open = items.map(unreadiness).filter((sentence) => sentence !== undefined);
      const sentence = open.join("; ");
      if (open.length > 0 && sentence !== missing) onChange(sentence);
      missing = sentence;
      return items.length > 0 && open.length === 0 ? items.map(viewOf) : undefined;
    },
    { limitMs, signal, missing: () => missing },
  );
}

function unreadiness(config: KubernetesObject): string | undefined {
  const name = config.metadata?.name ?? "";
  const conditions = (config.status as { conditions?: readonly Condition[] } | undefined)?.conditions ?? [];
  const ready = conditions.find(({ type }) => type === "Ready");
  if (ready === undefined) return `${name}: no status yet`;
  if (ready.observedGeneration !== config.metadata?.generation)
    return `${name}: its newest version is not seen yet`;
  return ready.status === "True" ? undefined : `${name}: ${ready.message}`;
}

function viewOf(config: KubernetesObject): ShardView {
  const pods = (config.status as { pods?: readonly { name: string }[] } | undefined)?.pods ?? [];
  return { name: config.metadata?.name ?? "", pods: pods.map(({ name }) => name) };
}

/**
 * The proof of a phase, from records that each operator wrote after `since` (when the rules had been
 * acknowledged). Operators list again after a change, so a record may show a step between: the phase counts as
 * proven when two proofs in a row hold, and as failed when none did within the limit.
 */
export async function provePhase(
  { client, signal, limitMs }: Waiting,
  facts: { readonly objects: readonly string[]; readonly pods: readonly string[]; readonly since: Date },
): Promise<{ readonly proof: Proof; readonly records: readonly OperatorRecord[] }> {
  const deadline = performance.now() + limitMs;
  let since = facts.since;
  let held = false;
  for (;;) {
    const records = await freshRecords({ client, signal, limitMs }, facts.pods, since);
    const proof = prove(facts.objects, records);
    if (proof.exactlyOneOwner && held) return { proof, records };
    if (!proof.exactlyOneOwner && performance.now() > deadline) return { proof, records };
    held = proof.exactlyOneOwner;
    since = new Date(Math.max(...records.map(({ writtenAt }) => Date.parse(writtenAt))));
  }
}

/** One record of each pod, written after `since`. */
function freshRecords(
  { client, signal, limitMs }: Waiting,
  pods: readonly string[],
  since: Date,
): Promise<readonly OperatorRecord[]> {
  let have: readonly string[] = [];
  return awaitCondition(
    async () => {
      const query = { namespace: operatorNamespace, labelSelector: recordLabel };
      const { items } = await client.list(configMaps, query, { signal });
      const records = items.map(recordOf).filter(({ writtenAt }) => Date.parse(writtenAt) > since.getTime());
      have = records.map(({ pod }) => pod);
      return pods.every((pod) => have.includes(pod)) ? records : undefined;
    },
    { limitMs, signal, missing: () => `records of ${pods.filter((pod) => !have.includes(pod)).join(", ")}` },
  );
}

function recordOf(object: KubernetesObject): OperatorRecord {
  const text = (object.data as Record<string, string> | undefined)?.record ?? "{}";
  // Written by the example operator of this project.
  return JSON.parse(text) as OperatorRecord;
}
