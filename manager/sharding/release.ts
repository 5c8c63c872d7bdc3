import type { DraftAtom, DraftHolder, DraftShard, LedgerDraft } from "./ledger-draft.ts";
import { isRemoved } from "./ledger-draft.ts";
import type { GroupPlan } from "./plan.ts";
import { goneInMs, isGone, type PodFacts } from "./pod-facts.ts";

/** What a step goes by, beside ledger and plan. */
export interface GroupFacts {
  /** Monotonic. */
  readonly nowMs: number;
  /** Every pod of the namespace that is or was a holder or could become one, by UID. */
  readonly pods: ReadonlyMap<string, PodFacts>;
  /** Monotonic time of the last deletion that was ordered, by shard. */
  readonly lastDeletionMs: ReadonlyMap<string, number>;
}

export interface PodDeletion {
  readonly shard: string;
  readonly pod: string;
  readonly uid: string;
}

/** A shard whose replaced pods do not become ready must not keep the others' objects for ever. */
const readinessPatienceMs = 60_000;

/** Forgets holders that have ended for good. */
export function dropGoneHolders(draft: LedgerDraft, facts: GroupFacts): void {
  for (const shard of draft.shards.values()) {
    shard.holders = shard.holders.filter(
      (holder) => !isGone(holder, facts.pods.get(holder.uid), facts.nowMs),
    );
    if (!shard.holders.some(({ prior }) => prior)) shard.prior = undefined;
  }
}

/**
 * Begins to take what a shard's spec does not claim any more, and gives back what it claims again before it was
 * released, if none of its pods came without it in between. Returns whether anything changed hands.
 */
export function revokeUnclaimed(draft: LedgerDraft, plan: GroupPlan): boolean {
  const claims = new Map(plan.shards.map((shard) => [shard.name, shard.claims]));
  let changed = false;
  for (const atom of draft.atoms.values()) {
    if (atom.state === "Free") continue;
    const isClaimed = claims.get(atom.shard)?.has(atom.atom) === true;
    if (atom.state === "Held" && !isClaimed) {
      atom.state = "Revoking";
      for (const holder of draft.shards.get(atom.shard)?.holders ?? []) holder.lost.add(atom.atom);
      changed = true;
    } else if (atom.state === "Revoking" && isClaimed) {
      changed = regain(draft, atom) || changed;
    }
  }
  return changed;
}

/** Makes an atom its shard's again, if each of its pods had it; the caller numbers the grant. */
function regain(draft: LedgerDraft, atom: DraftAtom): boolean {
  const holders = draft.shards.get(atom.shard)?.holders ?? [];
  if (!holders.every(({ lost }) => lost.has(atom.atom))) return false;
  atom.state = "Held";
  atom.epoch = draft.epoch + 1;
  for (const holder of holders) holder.lost.delete(atom.atom);
  return true;
}

/** Frees every atom whose release is proven. Returns whether any was. */
export function freeReleased(draft: LedgerDraft, facts: GroupFacts): boolean {
  let changed = false;
  for (const atom of draft.atoms.values()) {
    if (atom.state !== "Revoking") continue;
    const shard = draft.shards.get(atom.shard);
    const isHeldUp = shard?.holders.some(
      (holder) => holder.lost.has(atom.atom) && !hasReleased(shard, holder, facts),
    );
    if (isHeldUp === true) continue;
    atom.state = "Free";
    atom.shard = "";
    changed = true;
  }
  return changed;
}

/**
 * Whether a pod that still runs has let go of what it lost. With Restart it never has; with Relist once its
 * proxy has acknowledged the smaller view, no request runs under the larger one, and the settle time is over.
 */
function hasReleased(shard: DraftShard, holder: DraftHolder, facts: GroupFacts): boolean {
  if (shard.onLoss === "Restart") return false;
  const quietSinceMs = facts.pods.get(holder.uid)?.quietSinceMs;
  return quietSinceMs !== undefined && facts.nowMs - quietSinceMs >= shard.settleSeconds * 1000;
}

/** Whether a pod must end before what it lost is released, or before it can have its shard's next view. */
function mustEnd(draft: LedgerDraft, shard: DraftShard, holder: DraftHolder): boolean {
  if (shard.onLoss !== "Restart") return false;
  return holder.prior || [...holder.lost].some((name) => draft.atoms.get(name)?.state === "Revoking");
}

/**
 * The pod of each losing shard to delete now, if any: one at a time, after every losing pod is fenced, and when
 * the pod before it was replaced. Pods whose ShardingConfig is gone are never deleted: they are refused
 * everything, and what replaces them might run without a proxy.
 */
export function nextDeletions(draft: LedgerDraft, plan: GroupPlan, facts: GroupFacts): PodDeletion[] {
  const deletions: PodDeletion[] = [];
  for (const shard of draft.shards.values()) {
    if (isRemoved(shard, plan)) continue;
    const losers = shard.holders.filter((holder) => mustEnd(draft, shard, holder));
    const next = nextToDelete(shard, losers, facts);
    if (next !== undefined) deletions.push({ shard: shard.name, pod: next.pod, uid: next.uid });
  }
  return deletions;
}

function nextToDelete(
  shard: DraftShard,
  losers: readonly DraftHolder[],
  facts: GroupFacts,
): PodFacts | undefined {
  const present = losers.flatMap(({ uid }) => {
    const pod = facts.pods.get(uid);
    return pod === undefined || pod.absentSinceMs !== undefined ? [] : [pod];
  });
  const isFenced = ({ acknowledged, nack, terminatedSeen }: PodFacts) =>
    acknowledged || nack !== undefined || terminatedSeen;
  if (present.length === 0 || !present.every((pod) => isFenced(pod) || pod.terminating)) return undefined;
  const losing = new Set(present.map(({ uid }) => uid));
  const ofShard = [...facts.pods.values()].filter(
    (pod) => pod.shard === shard.name && pod.absentSinceMs === undefined,
  );
  if (ofShard.some(({ terminating }) => terminating)) return undefined;
  const sinceLastMs = facts.nowMs - (facts.lastDeletionMs.get(shard.name) ?? Number.NEGATIVE_INFINITY);
  const isReplacing =
    losers.length > present.length || ofShard.some(({ uid, ready }) => !ready && !losing.has(uid));
  if (isReplacing && sinceLastMs < readinessPatienceMs) return undefined;
  // One that serves nobody goes first, then the highest ordinal, as a StatefulSet would.
  return present.sort((a, b) => Number(a.ready) - Number(b.ready) || ordinalOf(b.pod) - ordinalOf(a.pod))[0];
}

function ordinalOf(pod: string): number {
  const digits = /-([0-9]+)$/.exec(pod)?.[1];
  return digits === undefined ? -1 : Number(digits);
}

/** Milliseconds after which time alone may allow another step; undefined when only an event can. */
export function nextLookInMs(draft: LedgerDraft, facts: GroupFacts): number | undefined {
  const waits: number[] = [];
  for (const shard of draft.shards.values()) {
    for (const holder of shard.holders) {
      const pod = facts.pods.get(holder.uid);
      const goneMs = goneInMs(holder, pod, facts.nowMs);
      if (goneMs !== undefined) waits.push(goneMs);
      if (shard.onLoss === "Relist" && holder.lost.size > 0 && pod?.quietSinceMs !== undefined) {
        waits.push(pod.quietSinceMs + shard.settleSeconds * 1000 - facts.nowMs);
      }
      const lastMs = facts.lastDeletionMs.get(shard.name);
      if (lastMs !== undefined && mustEnd(draft, shard, holder)) {
        waits.push(lastMs + readinessPatienceMs - facts.nowMs);
      }
    }
  }
  const ahead = waits.filter((ms) => ms > 0);
  return ahead.length === 0 ? undefined : Math.min(...ahead);
}
