import type { LedgerSpec, SnapshotSubject } from "../snapshot/compile.ts";
import { assignLedgers, type LedgerDuty } from "./assign-ledgers.ts";
import { groupConfigs } from "./groups.ts";
import { emptyLedger } from "./handover.ts";
import type { StoredLedger } from "./ledger.ts";
import { type GroupPlan, type PlanDeps, planGroup } from "./plan.ts";
import { type NamespaceConfigs, type ObservedPod, refusalOf, selecting } from "./pod-classes.ts";
import type { PodFacts } from "./pod-facts.ts";
import type { Finding } from "./shard-status.ts";
import { printAtoms } from "./shard-status.ts";

/** One ledger with all that decides about it now. */
export interface LedgerRound {
  readonly duty: LedgerDuty;
  readonly ledger: LedgerSpec;
  readonly plan: GroupPlan;
  readonly pods: readonly RoundPod[];
}

/** One ledger after its step. */
export interface LedgerOutcome extends LedgerRound {
  /** As the step found them. */
  readonly facts: ReadonlyMap<string, PodFacts>;
}

/** A pod that a ledger records, or that could become a holder by it. */
export interface RoundPod extends SnapshotSubject {
  readonly pod: string;
  /** Undefined: the informer does not show it. */
  readonly observed: ObservedPod | undefined;
  readonly refusal: string | undefined;
}

export interface NamespaceRound {
  readonly ledgers: readonly LedgerRound[];
  /** Ledgers that cannot be used: by them nothing is sent. */
  readonly corrupt: readonly LedgerDuty[];
  /** Injected pods that no ledger speaks for. */
  readonly strays: readonly RoundPod[];
  /** By ShardingConfig. */
  readonly findings: ReadonlyMap<string, readonly Finding[]>;
}

export interface RoundInput {
  readonly namespace: string;
  readonly configs: NamespaceConfigs;
  readonly pods: readonly ObservedPod[];
  readonly ledgers: readonly StoredLedger[];
}

/** Sorts out one namespace: which ledger speaks for which shards and pods, and what stands against grants. */
export function openRound(input: RoundInput, deps: PlanDeps): NamespaceRound {
  const { configs, pods, ledgers } = input;
  const living = configs.readable.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  const duties = assignLedgers(groupConfigs(living), ledgers);
  const recorded = recordedPods(ledgers);
  const uninjected = uninjectedPods(pods, configs);
  const corrupt = duties.filter(({ stored }) => stored !== undefined && "corrupt" in stored);
  const usable = duties.filter((duty) => !corrupt.includes(duty));
  return {
    ledgers: usable.map((duty) => openLedger(duty, input, { uninjected, recorded, plan: deps })),
    corrupt,
    strays: injected(pods)
      .filter(({ uid, shard }) => !recorded.has(uid) && !duties.some((duty) => hasShard(duty, shard)))
      .map((pod) => roundPod(pod, pod.shard, input, false)),
    findings: findingsOf(duties, uninjected, pods, configs),
  };
}

interface LedgerDeps {
  readonly uninjected: ReadonlyMap<string, readonly string[]>;
  readonly recorded: ReadonlySet<string>;
  readonly plan: PlanDeps;
}

function openLedger(duty: LedgerDuty, input: RoundInput, deps: LedgerDeps): LedgerRound {
  const { group, stored, leaving } = duty;
  const name = group?.name ?? duty.ledgerName;
  const ledger =
    stored !== undefined && "spec" in stored ? stored.spec : emptyLedger(name, deps.plan.hash, 0);
  const shards = group?.configs.map(({ metadata }) => metadata.name) ?? [];
  const frozen = ledger.shards
    .map((shard) => shard.name)
    .filter((shard) => input.configs.unreadable.has(shard));
  const bypassing = shards.flatMap((shard) => deps.uninjected.get(shard) ?? []);
  const blockers = [...duty.blockers, ...(bypassing.length === 0 ? [] : [uninjectedMessage(bypassing)])];
  const plan = planGroup(
    { name, configs: group?.configs ?? [], leaving, frozen, ledger, blockers },
    deps.plan,
  );
  const byUid = new Map(input.pods.map((pod) => [pod.uid, pod]));
  const holders = ledger.shards.flatMap((shard) =>
    shard.holders.map(({ uid, pod }) => {
      const observed = byUid.get(uid);
      if (observed !== undefined) return roundPod(observed, shard.name, input, true);
      return { uid, pod, shard: shard.name, namespace: input.namespace, observed, refusal: undefined };
    }),
  );
  const joining = injected(input.pods)
    .filter(({ uid, shard }) => !deps.recorded.has(uid) && hasShard(duty, shard))
    .map((pod) => roundPod(pod, pod.shard, input, false));
  return { duty, ledger, plan, pods: [...holders, ...joining] };
}

function hasShard({ group }: LedgerDuty, shard: string): boolean {
  return group?.configs.some(({ metadata }) => metadata.name === shard) === true;
}

function roundPod(observed: ObservedPod, shard: string, input: RoundInput, isRecorded: boolean): RoundPod {
  const { uid, name } = observed;
  const refusal = refusalOf(observed, shard, isRecorded, input.configs);
  return { uid, pod: name, shard, namespace: input.namespace, observed, refusal };
}

function recordedPods(ledgers: readonly StoredLedger[]): Set<string> {
  const uids = ledgers.flatMap((ledger) =>
    "spec" in ledger ? ledger.spec.shards.flatMap(({ holders }) => holders.map(({ uid }) => uid)) : [],
  );
  return new Set(uids);
}

function injected(pods: readonly ObservedPod[]): ObservedPod[] {
  return pods.filter(({ isInjected, shard, ended }) => isInjected && shard !== "" && !ended);
}

/** Running pods without a proxy, by each ShardingConfig that selects them. They hold all atoms of its group. */
function uninjectedPods(
  pods: readonly ObservedPod[],
  configs: NamespaceConfigs,
): ReadonlyMap<string, readonly string[]> {
  const byShard = new Map<string, string[]>();
  for (const pod of pods) {
    if (pod.ended || pod.terminated || (pod.isInjected && pod.shard !== "")) continue;
    for (const { metadata } of selecting(pod, configs)) {
      byShard.set(metadata.name, [...(byShard.get(metadata.name) ?? []), pod.name]);
    }
  }
  return byShard;
}

function uninjectedMessage(names: readonly string[]): string {
  const sorted = [...new Set(names)].sort();
  return `${sorted.join(", ")} run without a proxy and see everything: opt the namespace in and delete them (a rolling update waits for new pods, and these wait for them to end)`;
}

function findingsOf(
  duties: readonly LedgerDuty[],
  uninjected: ReadonlyMap<string, readonly string[]>,
  pods: readonly ObservedPod[],
  configs: NamespaceConfigs,
): Map<string, readonly Finding[]> {
  const findings = new Map<string, readonly Finding[]>();
  const add = (shard: string, finding: Finding) =>
    findings.set(shard, [...(findings.get(shard) ?? []), finding]);
  for (const { group, stored, blockers } of duties) {
    const shards = group?.configs.map(({ metadata }) => metadata.name) ?? [];
    const bypassing = shards.flatMap((shard) => uninjected.get(shard) ?? []);
    for (const shard of shards) {
      if (stored !== undefined && "corrupt" in stored) {
        add(shard, { type: "LedgerCorrupt", reason: "Unusable", message: stored.corrupt.message });
      }
      if (bypassing.length > 0) {
        add(shard, { type: "UninjectedPods", reason: "NoProxy", message: uninjectedMessage(bypassing) });
      }
      const [blocker] = blockers;
      if (blocker !== undefined) add(shard, { type: "Regrouping", reason: "OtherLedger", message: blocker });
    }
  }
  for (const pod of pods) {
    const matching = pod.ended ? [] : selecting(pod, configs).map(({ metadata }) => metadata.name);
    if (matching.length < 2) continue;
    const message = `pod ${pod.name} is selected by ${[...matching].sort().join(", ")}: one of them may select it`;
    for (const shard of matching) add(shard, { type: "PodConflict", reason: "SelectedTwice", message });
  }
  return findings;
}

/**
 * Why a shard's pods have nothing, for people. Constant while the cause is: each change of it is a snapshot that
 * goes out.
 */
export function waitReason(shard: string, plan: GroupPlan, ledger: LedgerSpec): string {
  const planned = plan.shards.find(({ name }) => name === shard);
  if (planned === undefined) return `there is no ShardingConfig ${shard} in this group`;
  const [blocker] = plan.blockers;
  if (blocker !== undefined) return blocker;
  if (planned.labelling.length > 0) {
    return `waiting for the labels of ${planned.labelling.map(({ resource }) => resource).join(", ")}`;
  }
  const others = new Map<string, string[]>();
  for (const { atom, shard: owner } of ledger.atoms) {
    if (owner === "" || owner === shard || !planned.claims.has(atom)) continue;
    others.set(owner, [...(others.get(owner) ?? []), atom]);
  }
  if (others.size > 0) {
    const waits = [...others].map(([owner, atoms]) => `shard ${owner} to release ${printAtoms(atoms)}`);
    return `waiting for ${waits.join(" and ")}`;
  }
  return planned.claims.size === 0 ? "the limits of the shard match nothing" : "waiting to be granted";
}
