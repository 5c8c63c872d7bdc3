import { isDeepStrictEqual } from "node:util";
import type { LedgerSpec } from "../snapshot/compile.ts";
import { admitPods, adoptViews, grantFree, syncShards } from "./grant.ts";
import { closeDraft, type LedgerDraft, openDraft, syncAtoms } from "./ledger-draft.ts";
import type { GroupPlan } from "./plan.ts";
import {
  dropGoneHolders,
  freeReleased,
  type GroupFacts,
  nextDeletions,
  nextLookInMs,
  type PodDeletion,
  revokeUnclaimed,
} from "./release.ts";

export interface Step {
  /** To be stored before anything that it allows is sent. */
  readonly ledger: LedgerSpec;
  readonly changed: boolean;
  /** Pods to delete once the ledger is stored. */
  readonly deletions: readonly PodDeletion[];
  /** Look again after so many milliseconds, although nothing may have happened. */
  readonly lookAgainInMs: number | undefined;
}

/**
 * The next step of revoke and grant for one group (`ownership.md` section 3). Pure and level-based: computed
 * from what is stored and seen now, so a manager that stops after any step is followed by one that goes on.
 *
 * What pods have acknowledged is judged against the ledger as handed in. Releases are therefore decided before
 * anything new is taken away: an acknowledgement never speaks of what was revoked after it.
 */
export function nextStep(ledger: LedgerSpec, plan: GroupPlan, facts: GroupFacts): Step {
  const draft = openDraft(ledger);
  dropGoneHolders(draft, facts);
  freeReleased(draft, facts);
  const deletions = nextDeletions(draft, plan, facts);
  if (canSpeakOf(draft, plan)) {
    syncAtoms(draft, plan);
    syncShards(draft, plan);
    const revoked = revokeUnclaimed(draft, plan);
    adoptViews(draft, plan);
    const granted = grantFree(draft, plan);
    if (revoked || granted) draft.epoch += 1;
    admitPods(draft, plan, facts);
  }
  const next = closeDraft(draft);
  return {
    ledger: next,
    changed: !isDeepStrictEqual(next, ledger),
    deletions,
    lookAgainInMs: nextLookInMs(draft, facts),
  };
}

/**
 * Another hash function puts the same namespaces into other buckets, and nothing that is recorded speaks of
 * those. While pods hold anything by the previous one the ledger stays as it is; else it begins anew.
 */
function canSpeakOf(draft: LedgerDraft, plan: GroupPlan): boolean {
  if (plan.hash === draft.hash) return true;
  if ([...draft.shards.values()].some(({ holders }) => holders.length > 0)) return false;
  draft.hash = plan.hash;
  draft.atoms.clear();
  return true;
}

/** The ledger of a group that has none: everything is free. */
export function emptyLedger(group: string, hash: LedgerSpec["hash"], term: number): LedgerSpec {
  return { group, hash, term, epoch: 0, atoms: [], shards: [] };
}
