import { type CtrlmeshError, toCtrlmeshError } from "#api/errors";
import type { Snapshot } from "#api/gen/ctrlmesh/v1/control_pb";
import type { KubernetesObject } from "#api/meta";
import { isApiError } from "#kube/client/api-error";
import { compileSnapshot, contentKey, type LedgerSpec, refusalSnapshot } from "../snapshot/compile.ts";
import { hasFinalizer, readConfigs, setFinalizer } from "./config-objects.ts";
import type { ServedResource } from "./discovery.ts";
import { nextStep, type Step } from "./handover.ts";
import type { LedgerStore } from "./ledger.ts";
import type { NamespacePods } from "./namespace-pods.ts";
import type { NamespaceConfigs } from "./pod-classes.ts";
import { observePod } from "./pod-classes.ts";
import { beforeItAnswers } from "./pod-facts.ts";
import { type PodTracker, podKind } from "./pod-tracker.ts";
import type { PodDeletion } from "./release.ts";
import { isLabelable } from "./resource-patterns.ts";
import {
  type LedgerOutcome,
  type LedgerRound,
  type NamespaceRound,
  openRound,
  type RoundPod,
  waitReason,
} from "./round.ts";
import { patternOf } from "./shard-limits.ts";
import type { ShardingDeps } from "./sharding-deps.ts";
import { owes, StatusWriter, unreachableAfterMs } from "./status-writer.ts";
import { UnownedAtoms } from "./unowned.ts";
import { offerWebhookRoutes } from "./webhook-routes.ts";

export interface NamespaceReconcilerDeps extends ShardingDeps {
  readonly ledgers: LedgerStore;
  readonly tracker: PodTracker;
  readonly pods: NamespacePods;
}

const corruptRetryMs = 30_000;

/** Brings one namespace a step on: ledgers first, then what they allow, then what people read. */
export class NamespaceReconciler {
  readonly #deps: NamespaceReconcilerDeps;
  readonly #status: StatusWriter;
  readonly #unowned: UnownedAtoms;
  readonly #lastDeletionMs = new Map<string, Map<string, number>>();
  readonly #kinds = new Map<string, readonly ServedResource[]>();
  readonly #tracked = new Map<string, ReadonlySet<string>>();

  constructor(deps: NamespaceReconcilerDeps) {
    this.#deps = deps;
    this.#status = new StatusWriter(deps);
    this.#unowned = new UnownedAtoms(deps.unowned);
  }

  /** Returns after how many milliseconds to look again at the latest. @throws CtrlmeshError; LEADERSHIP_LOST */
  async reconcile(namespace: string, signal: AbortSignal): Promise<number | undefined> {
    const { configs, ledgers, pods, proxies } = this.#deps;
    const objects = configs.list(namespace);
    const isEmpty = objects.length === 0 && ledgers.ofNamespace(namespace).length === 0;
    if (isEmpty && !proxies.all().some(({ pod }) => pod.namespace === namespace)) {
      await this.#forget(namespace);
      this.#unowned.saw(namespace, []);
      return undefined;
    }
    const informer = await pods.of(namespace, signal);
    const read = readConfigs(objects);
    await this.#protect(objects, read, signal);
    for (const ledger of ledgers.ofNamespace(namespace)) {
      if ("corrupt" in ledger) await ledgers.reload(ledger, signal);
    }
    const observed = informer.list(namespace).map(observePod);
    const input = { namespace, configs: read, pods: observed, ledgers: ledgers.ofNamespace(namespace) };
    const round = openRound(input, { ...this.#deps });
    this.#wantKinds(namespace, round);
    this.#refuseStrays(round);
    const { outcomes, lookAgainInMs, failure } = await this.#stepAll(round, namespace, signal);
    this.#retainMemories(namespace, round);
    if (failure === undefined) this.#unowned.saw(namespace, outcomes);
    await this.#releaseConfigs(objects, outcomes, round, signal);
    await this.#status.write({ objects, configs: read, round, outcomes, pods: observed }, signal);
    if (failure !== undefined) throw failure;
    return round.corrupt.length > 0
      ? Math.min(lookAgainInMs ?? corruptRetryMs, corruptRetryMs)
      : lookAgainInMs;
  }

  /** A ledger that fails does not keep the others of its namespace from their step. */
  async #stepAll(round: NamespaceRound, namespace: string, signal: AbortSignal) {
    const outcomes: LedgerOutcome[] = [];
    const waits: number[] = [];
    let failure: CtrlmeshError | undefined;
    for (const each of round.ledgers) {
      try {
        const { outcome, lookAgainInMs } = await this.#stepOne(each, namespace, signal);
        outcomes.push(outcome);
        if (lookAgainInMs !== undefined) waits.push(lookAgainInMs);
      } catch (thrown) {
        if (isApiError(thrown, "LEADERSHIP_LOST")) throw thrown;
        failure = toCtrlmeshError(thrown);
      }
    }
    return { outcomes, lookAgainInMs: waits.length === 0 ? undefined : Math.min(...waits), failure };
  }

  async #stepOne(
    round: LedgerRound,
    namespace: string,
    signal: AbortSignal,
  ): Promise<{ outcome: LedgerOutcome; lookAgainInMs: number | undefined }> {
    const { ledgers, tracker, pods, clock } = this.#deps;
    const { duty, ledger, plan } = round;
    const tracked = round.pods.map((pod) => ({
      ...pod,
      contentKey: contentKey(this.#snapshot(pod, ledger, round)),
    }));
    const facts = await tracker.factsOf(tracked, namespace, await pods.of(namespace, signal), signal);
    const lastDeletionMs = this.#lastDeletionMs.get(namespace) ?? new Map<string, number>();
    const step = nextStep(ledger, plan, { nowMs: clock.monotonicMs(), pods: facts, lastDeletionMs });
    // Nothing leaves before it is stored: a leader that comes after us must know of it.
    const isOver = duty.group === undefined && step.ledger.shards.length === 0;
    if (isOver) await ledgers.remove({ namespace, name: duty.ledgerName }, signal);
    else if (step.changed || duty.stored === undefined) {
      await ledgers.save({ namespace, name: duty.ledgerName }, step.ledger, signal);
    }
    const standing = new Map(facts);
    for (const { contentKey: answered, ...pod } of tracked) {
      const snapshot = this.#snapshot(pod, step.ledger, round);
      this.#offer(pod, snapshot);
      const known = facts.get(pod.uid);
      if (known !== undefined && contentKey(snapshot) !== answered)
        standing.set(pod.uid, beforeItAnswers(known));
    }
    offerWebhookRoutes({ ...round, ledger: step.ledger }, namespace, this.#deps);
    await this.#deleteAll(step.deletions, namespace, signal);
    const outcome = { ...round, ledger: step.ledger, facts: standing };
    return { outcome, lookAgainInMs: step.changed && !isOver ? 0 : lookAgain(step, outcome) };
  }

  #snapshot(pod: RoundPod, ledger: LedgerSpec, { plan }: LedgerRound): Snapshot {
    if (pod.refusal !== undefined) return refusalSnapshot(pod, ledger, pod.refusal);
    const { labels, exemptNamespaces } = this.#deps;
    return compileSnapshot(ledger, pod, { labels, exemptNamespaces }, waitReason(pod.shard, plan, ledger));
  }

  #offer({ uid }: RoundPod, snapshot: Snapshot): void {
    const { proxies, term } = this.#deps;
    proxies.offer(uid, snapshot, { term: BigInt(term.current), contentKey: contentKey(snapshot) });
  }

  #refuseStrays({ strays }: NamespaceRound): void {
    const { hash } = this.#deps;
    for (const pod of strays) {
      const reason = pod.refusal ?? `there is no group for ShardingConfig ${pod.shard}`;
      this.#offer(pod, refusalSnapshot(pod, { hash, epoch: 0 }, reason));
    }
  }

  async #deleteAll(deletions: readonly PodDeletion[], namespace: string, signal: AbortSignal): Promise<void> {
    const { client, clock, tracker, log, events, configs } = this.#deps;
    for (const { shard, pod, uid } of deletions) {
      try {
        await client.delete(podKind, { namespace, name: pod }, { uid, signal });
      } catch (thrown) {
        // Gone already, or another pod has its name: what was to end has ended.
        if (!isApiError(thrown, "API_NOT_FOUND") && !isApiError(thrown, "API_CONFLICT")) throw thrown;
      }
      tracker.deletionOrdered(uid);
      const times = this.#lastDeletionMs.get(namespace) ?? new Map<string, number>();
      this.#lastDeletionMs.set(namespace, times.set(shard, clock.monotonicMs()));
      log.info("pod is replaced, its shard gives objects away", { namespace, shard, pod });
      events.record(configs.get({ namespace, name: shard }) ?? {}, {
        type: "Normal",
        reason: "ReplacingPod",
        action: "Revoke",
        note: `Pod ${pod} is deleted, so that what its shard gives away is released (onLoss: Restart).`,
      });
    }
  }

  /** The finalizer keeps a ShardingConfig until its pods have nothing any more. */
  async #protect(
    objects: readonly KubernetesObject[],
    { readable }: NamespaceConfigs,
    signal: AbortSignal,
  ): Promise<void> {
    const shards = new Set(
      readable.filter(({ spec }) => spec.root === undefined).map(({ metadata }) => metadata.name),
    );
    for (const object of objects) {
      const { name = "", deletionTimestamp } = object.metadata ?? {};
      if (!shards.has(name) || deletionTimestamp !== undefined || hasFinalizer(object)) continue;
      await setFinalizer(this.#deps.client, object, true, signal);
    }
  }

  /**
   * Lets ShardingConfigs go that are being deleted, once each pod that holds something by them has acknowledged
   * that it has nothing any more. What they had is released only when those pods end; the ledger sees to that.
   */
  async #releaseConfigs(
    objects: readonly KubernetesObject[],
    outcomes: readonly LedgerOutcome[],
    { ledgers, corrupt }: NamespaceRound,
    signal: AbortSignal,
  ): Promise<void> {
    // A ledger that failed or is corrupt may record pods of any of them.
    if (outcomes.length < ledgers.length || corrupt.length > 0) return;
    for (const object of objects) {
      const { name = "", deletionTimestamp } = object.metadata ?? {};
      if (deletionTimestamp === undefined || !hasFinalizer(object)) continue;
      const waits = outcomes.some(({ ledger, facts }) =>
        ledger.shards.some(
          (shard) =>
            shard.name === name &&
            shard.holders.some(
              ({ uid }) => shard.withdrawn !== true || facts.get(uid)?.acknowledged !== true,
            ),
        ),
      );
      if (!waits) await setFinalizer(this.#deps.client, object, false, signal);
    }
  }

  /** Kinds that limits filter or will filter need their labels. */
  #wantKinds(namespace: string, { ledgers }: NamespaceRound): void {
    const { catalog, coverage } = this.#deps;
    const patterns = ledgers.flatMap(({ ledger, plan }) =>
      [
        ...plan.shards.flatMap(({ view }) => view.limits),
        ...ledger.shards.flatMap(({ limits }) => limits),
      ].map(patternOf),
    );
    const kinds = catalog.resolve(patterns).filter(isLabelable);
    if (isSameKinds(this.#kinds.get(namespace) ?? [], kinds)) return;
    this.#kinds.set(namespace, kinds);
    const all = new Map([...this.#kinds.values()].flat().map((kind) => [kindKey(kind), kind]));
    coverage.want([...all.values()]);
  }

  #retainMemories(namespace: string, { ledgers, strays }: NamespaceRound): void {
    const pods = [...ledgers.flatMap((each) => each.pods), ...strays];
    this.#tracked.set(namespace, new Set(pods.map(({ uid }) => uid)));
    this.#deps.tracker.retain(new Set([...this.#tracked.values()].flatMap((uids) => [...uids])));
  }

  async #forget(namespace: string): Promise<void> {
    this.#kinds.delete(namespace);
    this.#tracked.delete(namespace);
    this.#lastDeletionMs.delete(namespace);
    this.#status.forget(namespace);
    await this.#deps.pods.forget(namespace);
  }
}

function lookAgain({ lookAgainInMs }: Step, { ledger, facts }: LedgerOutcome): number | undefined {
  const isSilent = ledger.shards.some(({ holders }) =>
    holders.some((holder) => owes(holder) && facts.get(holder.uid)?.connected === false),
  );
  // A moment after the time itself, never before it.
  const waits = [lookAgainInMs, isSilent ? unreachableAfterMs : undefined].flatMap((ms) =>
    ms === undefined ? [] : [ms + 1],
  );
  return waits.length === 0 ? undefined : Math.min(...waits);
}

function kindKey({ group, resource }: ServedResource): string {
  return `${group}/${resource}`;
}

function isSameKinds(left: readonly ServedResource[], right: readonly ServedResource[]): boolean {
  return left.map(kindKey).join() === right.map(kindKey).join();
}
