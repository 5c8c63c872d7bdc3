import type { LedgerHolder } from "#api/ownership-ledger";

/** What is known of one pod now. The one who gathers it has read, not guessed: see each field. */
export interface PodFacts {
  readonly uid: string;
  readonly pod: string;
  /** Shard that its injection named; never changes while the pod runs. */
  readonly shard: string;
  /** Why the pod may not be granted anything, for people; undefined when it may. */
  readonly refusal: string | undefined;
  /** Its proxy has a stream to us. */
  readonly connected: boolean;
  /** Its proxy has acknowledged the snapshot that the ledger, as handed in with these facts, gives it. */
  readonly acknowledged: boolean;
  /** Reason why its proxy refused that snapshot. */
  readonly nack: string | undefined;
  /**
   * Monotonic time since which it has acknowledged that snapshot, runs no request under an older view and has
   * not relisted anything more; undefined while one of these is not so.
   */
  readonly quietSinceMs: number | undefined;
  readonly ready: boolean;
  /** The operator has a credential that is not bound to the pod (a legacy token Secret). */
  readonly unbound: boolean;
  /** Has a deletionTimestamp. Such a pod may run for as long as it likes. */
  readonly terminating: boolean;
  /** Every container of this UID was seen terminated, and none can start again. */
  readonly terminatedSeen: boolean;
  /** Monotonic time of the first uncached read that did not find this UID; undefined while it was found. */
  readonly absentSinceMs: number | undefined;
}

/**
 * A token that is bound to a pod stays good in the API server's cache for up to 10 s after the pod is gone, and a
 * kubelet that is cut off may still run the containers: the wait is twice that.
 */
const tokenLapseMs = 20_000;

/**
 * Whether nothing can act in the name of a holder any more: its UID is absent by an uncached read, and its
 * containers were seen terminated or its token has lapsed. A pod of which nothing is known counts as live, as
 * does one that is only terminating; and a credential that is not bound to the pod never lapses.
 */
export function isGone(
  holder: Pick<LedgerHolder, "unbound">,
  facts: PodFacts | undefined,
  nowMs: number,
): boolean {
  if (facts?.absentSinceMs === undefined) return false;
  if (facts.terminatedSeen) return true;
  return holder.unbound !== true && nowMs - facts.absentSinceMs >= tokenLapseMs;
}

/** Milliseconds until `isGone` can become true by the passing of time alone. */
export function goneInMs(
  holder: Pick<LedgerHolder, "unbound">,
  facts: PodFacts | undefined,
  nowMs: number,
): number | undefined {
  if (facts?.absentSinceMs === undefined || holder.unbound === true) return undefined;
  return Math.max(0, facts.absentSinceMs + tokenLapseMs - nowMs);
}

/** Facts of a pod that was just offered another snapshot: what it said was about the one before. */
export function beforeItAnswers(facts: PodFacts): PodFacts {
  return { ...facts, acknowledged: false, nack: undefined, quietSinceMs: undefined };
}
