import { CtrlmeshError } from "#api/errors";
import { nextStep } from "#manager/sharding/handover";
import type { StoredLedger } from "#manager/sharding/ledger";
import type { ObservedPod } from "#manager/sharding/pod-classes";
import type { PodFacts } from "#manager/sharding/pod-facts";
import type { LedgerRound, NamespaceRound, RoundPod } from "#manager/sharding/round";
import type { NamespaceInventory } from "../inventory.ts";
import type { MeshSettings } from "../mesh-settings.ts";
import { roundOf } from "../rounds.ts";
import type { ServedKinds } from "../served-kinds.ts";

/** How a namespace ends up, and what happens to its pods on the way. */
export interface Rehearsal {
  readonly round: NamespaceRound;
  readonly ledgers: readonly StoredLedger[];
  /** Pods of today that the manager deletes, in that order. */
  readonly restarts: readonly { readonly shard: string; readonly pod: string }[];
}

/** Long after every settle time. */
const nowMs = 1e12;
/** Each step releases, replaces or grants something; far more than any namespace needs. */
const stepLimit = 10_000;

/**
 * Plays the handover to its end with the manager's own steps, in a world where all goes well at once: every pod
 * acknowledges, relists, and is replaced when it is deleted. What comes out is what the manager is going to do.
 *
 * @throws INTERNAL when it does not come to an end
 */
export function rehearse(
  inventory: NamespaceInventory,
  settings: Pick<MeshSettings, "shardLabels" | "hash">,
  catalog: ServedKinds,
): Rehearsal {
  let { ledgers, pods } = inventory;
  const today = new Set(pods.map(({ uid }) => uid));
  const restarts: { shard: string; pod: string }[] = [];
  for (let step = 0; step < stepLimit; step++) {
    const round = roundOf({ ...inventory, ledgers, pods }, settings, catalog);
    const outcome = takeStep(round, inventory.namespace);
    for (const { uid, shard, pod } of outcome.deletions) {
      if (today.has(uid)) restarts.push({ shard, pod });
    }
    if (!outcome.changed && outcome.deletions.length === 0) return { round, ledgers, restarts };
    ledgers = withOutcomes(ledgers, outcome.ledgers);
    pods = pods.map((pod) =>
      outcome.deletions.some(({ uid }) => uid === pod.uid) ? { ...pod, uid: `next of ${pod.uid}` } : pod,
    );
  }
  throw new CtrlmeshError("INTERNAL", { what: `the plan of ${inventory.namespace} comes to no end` });
}

function takeStep(round: NamespaceRound, namespace: string) {
  const steps = round.ledgers.map((each) => ({
    each,
    step: nextStep(each.ledger, each.plan, factsOf(each)),
  }));
  return {
    changed: steps.some(({ step }) => step.changed),
    deletions: steps.flatMap(({ step }) => step.deletions),
    ledgers: steps.map(
      ({ each, step }): StoredLedger => ({
        namespace,
        name: each.duty.ledgerName,
        isDeleting: false,
        spec: step.ledger,
      }),
    ),
  };
}

function withOutcomes(before: readonly StoredLedger[], after: readonly StoredLedger[]): StoredLedger[] {
  const names = new Set(after.map(({ name }) => name));
  return [...before.filter(({ name }) => !names.has(name)), ...after];
}

function factsOf({ pods }: LedgerRound) {
  const facts = pods.map((pod): [string, PodFacts] => [pod.uid, podFacts(pod)]);
  return { nowMs, pods: new Map(facts), lastDeletionMs: new Map<string, number>() };
}

/** All is well with a pod that runs; one that is not there has ended. */
function podFacts({ uid, pod, shard, refusal, observed }: RoundPod): PodFacts {
  const isThere = observed !== undefined && !hasEnded(observed);
  return {
    uid,
    pod,
    shard,
    refusal,
    connected: isThere,
    acknowledged: isThere,
    nack: undefined,
    quietSinceMs: 0,
    ready: true,
    unbound: false,
    terminating: false,
    terminatedSeen: !isThere,
    absentSinceMs: isThere ? undefined : 0,
  };
}

function hasEnded({ ended, terminated }: ObservedPod): boolean {
  return ended || terminated;
}
