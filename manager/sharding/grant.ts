import { isDeepStrictEqual } from "node:util";
import type { LedgerLimit } from "#api/ownership-ledger";
import { restrictView } from "../snapshot/view.ts";
import { type DraftShard, isRemoved, type LedgerDraft } from "./ledger-draft.ts";
import type { GroupPlan, PlannedShard } from "./plan.ts";
import type { PodFacts } from "./pod-facts.ts";
import type { GroupFacts } from "./release.ts";
import { selectorsOf } from "./shard-limits.ts";

/**
 * Enters shards that are new. One whose ShardingConfig is gone keeps its view in the ledger and is refused
 * everything: should the ShardingConfig come back, its running operators go on from what they saw.
 */
export function syncShards(draft: LedgerDraft, plan: GroupPlan): void {
  for (const planned of plan.shards) {
    const { name, onLoss, settleSeconds } = planned;
    const shard = draft.shards.get(name);
    if (shard === undefined) {
      const view = { limits: [], unfilteredResources: [], prior: undefined };
      draft.shards.set(name, { name, onLoss, settleSeconds, ...view, withdrawn: false, holders: [] });
      continue;
    }
    shard.withdrawn = false;
    if (!isGivingUp(draft, shard)) {
      // What is being given up is given up by the rule under which that began.
      shard.onLoss = onLoss;
      shard.settleSeconds = settleSeconds;
    }
  }
  for (const shard of [...draft.shards.values()]) {
    if (!isRemoved(shard, plan)) continue;
    shard.withdrawn = true;
    const owns = [...draft.atoms.values()].some((atom) => atom.shard === shard.name);
    if (!owns && shard.holders.length === 0) draft.shards.delete(shard.name);
  }
}

function isGivingUp(draft: LedgerDraft, shard: DraftShard): boolean {
  if (shard.prior !== undefined) return true;
  return [...draft.atoms.values()].some(
    ({ shard: name, state }) => name === shard.name && state === "Revoking",
  );
}

/**
 * Puts the views that the specs ask for in force, where the labels of newly limited kinds are complete. With
 * `onLoss: Restart` running pods keep a view that would shrink, as the shard's prior one, until they end; only
 * one such change is on its way at a time.
 */
export function adoptViews(draft: LedgerDraft, plan: GroupPlan): void {
  for (const { name, change, view, labelling } of plan.shards) {
    const shard = draft.shards.get(name);
    if (shard === undefined || change === "none" || labelling.length > 0) continue;
    if (shard.prior !== undefined) continue;
    const { limits, unfilteredResources, holders, onLoss } = shard;
    const narrows = change === "narrows" || hidesMore(draft, plan, shard, view.limits);
    if (narrows && onLoss === "Restart" && holders.length > 0) {
      shard.prior = { limits, unfilteredResources };
      for (const holder of holders) holder.prior = true;
    }
    shard.limits = view.limits;
    shard.unfilteredResources = view.unfilteredResources;
  }
}

/**
 * Grants each free atom to the first shard that claims it, if the view that it has in force can show it; to the
 * next one if that view could not say "what it has and this". One that waits for its labels is waited for.
 * Returns whether any was granted; the caller numbers the grants by raising the group's epoch.
 */
export function grantFree(draft: LedgerDraft, plan: GroupPlan): boolean {
  if (plan.blockers.length > 0) return false;
  let changed = false;
  const waitedFor = new Set<string>();
  for (const planned of plan.shards) {
    const shard = draft.shards.get(planned.name);
    const free = [...draft.atoms.values()]
      .filter(({ state, atom }) => state === "Free" && planned.claims.has(atom) && !waitedFor.has(atom))
      .map(({ atom }) => atom);
    if (shard === undefined || !isInForce(shard, planned)) {
      for (const name of free) waitedFor.add(name);
      continue;
    }
    for (const name of expressible(draft, plan, shard, free)) {
      const atom = draft.atoms.get(name);
      if (atom === undefined) continue;
      Object.assign(atom, { state: "Held", shard: shard.name, epoch: draft.epoch + 1 });
      for (const holder of shard.holders) holder.lost.delete(name);
      changed = true;
    }
  }
  return changed;
}

/** Atoms are granted by the view in force, not by one that still waits for its labels. */
function isInForce(shard: DraftShard, { view }: PlannedShard): boolean {
  return isDeepStrictEqual(shard.limits, view.limits);
}

/**
 * Those of the free atoms that the shard's selectors can show beside what it has: all of them if possible, else
 * as many as can be said. An atom that is held and not seen would be nobody's; and what a pod sees already must
 * not change for it, which a loss can have made more than one conjunction can say.
 */
function expressible(
  draft: LedgerDraft,
  plan: GroupPlan,
  shard: DraftShard,
  free: readonly string[],
): string[] {
  const views = viewsOf(draft, shard).map((view) => ({
    ...view,
    hidden: hiddenAtoms(plan, view, view.seen),
  }));
  const fits = (names: readonly string[]) =>
    views.every((view) => {
      const hidden = hiddenAtoms(plan, view, [...view.seen, ...names]);
      return [...hidden].every((name) => view.hidden.has(name));
    });
  if (free.length === 0 || fits(free)) return [...free];
  const fitting: string[] = [];
  for (const name of free) if (fits([...fitting, name])) fitting.push(name);
  return fitting;
}

interface ShardViewInForce {
  readonly limits: readonly LedgerLimit[];
  readonly seen: readonly string[];
}

/** The view of a pod that comes now, and the different views of those that run. */
function viewsOf(draft: LedgerDraft, shard: DraftShard): ShardViewInForce[] {
  const own = [...draft.atoms.values()].filter((atom) => atom.shard === shard.name);
  const views = new Map<string, ShardViewInForce>();
  for (const holder of [undefined, ...shard.holders]) {
    const keeps = (name: string) => shard.onLoss === "Restart" && holder?.lost.has(name) === true;
    const seen = own.filter(({ state, atom }) => state === "Held" || keeps(atom)).map(({ atom }) => atom);
    const limits = holder?.prior === true && shard.prior !== undefined ? shard.prior.limits : shard.limits;
    views.set(JSON.stringify([seen, limits === shard.limits]), { limits, seen });
  }
  return [...views.values()];
}

/** Whether limits that claim no less would show a running pod less: the sum may be more than they can say. */
function hidesMore(
  draft: LedgerDraft,
  plan: GroupPlan,
  shard: DraftShard,
  limits: readonly LedgerLimit[],
): boolean {
  return viewsOf(draft, shard).some((view) => {
    const before = hiddenAtoms(plan, view, view.seen);
    return [...hiddenAtoms(plan, { limits }, view.seen)].some((each) => !before.has(each));
  });
}

/** Atoms that a limit claims and cannot show, each with the limit's number. */
function hiddenAtoms(
  { atoms, labels }: GroupPlan,
  { limits }: Pick<ShardViewInForce, "limits">,
  names: readonly string[],
): Set<string> {
  const scope = { atoms, seen: new Set(names), labels };
  return new Set(
    selectorsOf(limits).flatMap((selector, index) =>
      restrictView(selector, scope).inexpressible.map((name) => `${index} ${name}`),
    ),
  );
}

/** Enters connected pods as holders, so that they count as live from before their grant is sent. */
export function admitPods(draft: LedgerDraft, plan: GroupPlan, facts: GroupFacts): void {
  if (plan.blockers.length > 0) return;
  const recorded = new Set(
    [...draft.shards.values()].flatMap(({ holders }) => holders.map(({ uid }) => uid)),
  );
  for (const planned of plan.shards) {
    const shard = draft.shards.get(planned.name);
    const holdsAny = [...draft.atoms.values()].some(
      (atom) => atom.state === "Held" && atom.shard === planned.name,
    );
    if (shard === undefined || shard.limits.length === 0 || !holdsAny) continue;
    const joining = [...facts.pods.values()]
      .filter((pod) => pod.shard === planned.name && mayJoin(pod) && !recorded.has(pod.uid))
      .sort((a, b) => (a.pod < b.pod ? -1 : 1));
    for (const { pod, uid, unbound } of joining) {
      shard.holders.push({ pod, uid, lost: new Set(), prior: false, unbound });
    }
  }
}

function mayJoin({ refusal, connected, terminating, terminatedSeen, absentSinceMs }: PodFacts): boolean {
  return refusal === undefined && connected && !terminating && !terminatedSeen && absentSinceMs === undefined;
}
