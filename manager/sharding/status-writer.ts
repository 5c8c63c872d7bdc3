import { isDeepStrictEqual } from "node:util";
import { type Condition, type KubernetesObject, withCondition } from "#api/meta";
import type { LedgerHolder } from "#api/ownership-ledger";
import type { ShardingConfig, ShardingConfigStatus } from "#api/sharding-config";
import { isApiError, isRecord } from "#kube/client/api-error";
import type { KubeClient } from "#kube/client/client";
import type { EventRecorder } from "#kube/client/events";
import type { Clock } from "#runtime/clock";
import type { Proxies } from "../control/proxies.ts";
import { writeStatus } from "./config-objects.ts";
import type { NamespaceConfigs, ObservedPod } from "./pod-classes.ts";
import type { PodTracker } from "./pod-tracker.ts";
import type { LedgerOutcome, NamespaceRound } from "./round.ts";
import { type Finding, type PodStatus, planFindings, statusOf } from "./shard-status.ts";

export interface StatusWriterDeps {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly proxies: Pick<Proxies, "get">;
  readonly tracker: Pick<PodTracker, "silentSinceMs">;
  readonly events: Pick<EventRecorder, "record">;
}

export interface NamespaceView {
  readonly objects: readonly KubernetesObject[];
  readonly configs: NamespaceConfigs;
  readonly round: NamespaceRound;
  readonly outcomes: readonly LedgerOutcome[];
  readonly pods: readonly ObservedPod[];
}

interface WrittenStatus {
  /** The resourceVersion that the informer showed then. */
  readonly over: string | undefined;
  readonly status: ShardingConfigStatus;
}

/** A proxy that dials anew is back sooner. */
export const unreachableAfterMs = 15_000;

/** Whether others wait for a pod: for what it is to release, or for its end. */
export function owes({ lost = [], prior }: LedgerHolder): boolean {
  return lost.length > 0 || prior === true;
}

/** Writes what is seen into the status of each ShardingConfig, when it differs, and tells new troubles as events. */
export class StatusWriter {
  readonly #deps: StatusWriterDeps;
  /** What was written last, by namespace and UID: the informer shows it a moment later. */
  readonly #written = new Map<string, Map<string, WrittenStatus>>();

  constructor(deps: StatusWriterDeps) {
    this.#deps = deps;
  }

  async write(view: NamespaceView, signal: AbortSignal): Promise<void> {
    for (const object of view.objects) {
      const name = object.metadata?.name ?? "";
      const config = view.configs.readable.find(({ metadata }) => metadata.name === name);
      const problem = view.configs.unreadable.get(name);
      if (config !== undefined) await this.#writeOne(object, this.#readable(config, view), signal);
      else if (problem !== undefined) await this.#writeOne(object, this.#unreadable(object, problem), signal);
    }
  }

  forget(namespace: string): void {
    this.#written.delete(namespace);
  }

  #readable(config: ShardingConfig, view: NamespaceView): ShardingConfigStatus {
    const { name } = config.metadata;
    const outcome = view.outcomes.find(({ plan }) => plan.shards.some((shard) => shard.name === name));
    const pods = view.pods
      .filter(({ shard, ended }) => shard === name && !ended)
      .map((pod) => this.#podStatus(pod));
    const now = new Date(this.#deps.clock.now());
    const { ledger, plan } = outcome ?? {};
    return statusOf({ config, ledger, plan, pods, findings: this.#findings(config, view, outcome), now });
  }

  #findings(config: ShardingConfig, view: NamespaceView, outcome: LedgerOutcome | undefined): Finding[] {
    const { metadata, spec } = config;
    const planned = outcome?.plan.shards.find(({ name }) => name === metadata.name);
    if (spec.root !== undefined) return [rootPending];
    if (metadata.deletionTimestamp !== undefined) return [deleting(metadata.name, view.outcomes)];
    return [
      ...(view.round.findings.get(metadata.name) ?? []),
      ...(outcome === undefined || planned === undefined
        ? []
        : planFindings(planned, outcome.ledger, outcome.plan)),
      ...(outcome === undefined ? [] : this.#podFindings(metadata.name, outcome)),
      ...(spec.unreachable === "Fence" ? [fencePending] : []),
      ...(spec.writeFence === "Moved" ? [] : [writeFencePending]),
    ];
  }

  #podFindings(shard: string, { ledger, facts }: LedgerOutcome): Finding[] {
    const holders = ledger.shards.find(({ name }) => name === shard)?.holders ?? [];
    const nowMs = this.#deps.clock.monotonicMs();
    const present = holders.filter(({ uid }) => facts.get(uid)?.absentSinceMs === undefined);
    const silent = present.filter((holder) => {
      const sinceMs = this.#deps.tracker.silentSinceMs(holder.uid);
      return owes(holder) && sinceMs !== undefined && nowMs - sinceMs >= unreachableAfterMs;
    });
    const findings: Finding[] = [];
    if (silent.length > 0) {
      const message = `no stream to ${names(silent)}: what they are to release stays with them until they answer or are seen to be gone`;
      findings.push({ type: "Unreachable", reason: "NoStream", message });
    }
    const outlived = present.filter(({ prior }) => prior === true);
    if (outlived.length > 0) {
      const message = `${names(outlived)} keep the view before the last change until they are replaced`;
      findings.push({ type: "Replacing", reason: "PriorView", message });
    }
    const owed = present.filter(({ uid }) => facts.get(uid)?.acknowledged !== true);
    if (present.length === 0) {
      findings.push({
        type: "NoPods",
        reason: "NoPods",
        message: "no pod of the shard is connected and admitted",
      });
    } else if (owed.length > 0) {
      const nack = owed.map(({ uid }) => facts.get(uid)?.nack).find((reason) => reason !== undefined);
      const message = nack === undefined ? `${names(owed)} have not acknowledged yet` : `refused: ${nack}`;
      findings.push({ type: "Acknowledging", reason: nack === undefined ? "Awaited" : "Refused", message });
    }
    return findings;
  }

  #podStatus({ name, uid, ready }: ObservedPod): PodStatus {
    const proxy = this.#deps.proxies.get(uid);
    const acked = proxy?.acknowledged?.id;
    return {
      name,
      uid,
      connected: proxy !== undefined,
      ready,
      ...(acked === undefined
        ? {}
        : { ackedTerm: Number(acked.term), ackedRevision: Number(acked.revision) }),
      ...(proxy === undefined || proxy.version === "" ? {} : { proxyVersion: proxy.version.slice(0, 128) }),
    };
  }

  /** Nothing that its ShardingConfig says is known, so the rest of its status stays as it was. */
  #unreadable({ metadata, status }: KubernetesObject, problem: string): ShardingConfigStatus {
    const stored = isRecord(status) ? status : {};
    const observed = metadata?.generation === undefined ? {} : { observedGeneration: metadata.generation };
    const message = `the spec cannot be read, what is in force stays: ${problem}`;
    const wanted = [
      { type: "Ready", status: "False" as const, reason: "ParseError", message, ...observed },
      { type: "ParseError", status: "True" as const, reason: "Unreadable", message, ...observed },
    ];
    const now = new Date(this.#deps.clock.now());
    const kept = conditionsOf(stored.conditions);
    const conditions = wanted.reduce<Condition[]>((list, each) => withCondition(list, each, now), kept);
    return { ...stored, ...observed, conditions };
  }

  async #writeOne(object: KubernetesObject, next: ShardingConfigStatus, signal: AbortSignal): Promise<void> {
    const { namespace = "", uid = "", resourceVersion } = object.metadata ?? {};
    const written = this.#written.get(namespace) ?? new Map<string, WrittenStatus>();
    const last = written.get(uid);
    if (isDeepStrictEqual(object.status, next)) return;
    if (last !== undefined && last.over === resourceVersion && isUnchanged(last.status, next)) return;
    try {
      await writeStatus(this.#deps.client, object, next, signal);
    } catch (thrown) {
      // Deleted meanwhile: there is nobody to tell.
      if (isApiError(thrown, "API_NOT_FOUND")) return;
      throw thrown;
    }
    this.#tellTroubles(object, last?.status.conditions, next);
    this.#written.set(namespace, written.set(uid, { over: resourceVersion, status: next }));
  }

  #tellTroubles(
    object: KubernetesObject,
    before: readonly Condition[] | undefined,
    next: ShardingConfigStatus,
  ): void {
    const known = before ?? conditionsOf(isRecord(object.status) ? object.status.conditions : undefined);
    for (const { type, status, reason, message } of next.conditions ?? []) {
      const isNew = !known.some((condition) => condition.type === type && condition.status === status);
      if (!warnings.has(type) || status !== "True" || !isNew) continue;
      this.#deps.events.record(object, {
        type: "Warning",
        reason: type,
        action: "Shard",
        note: `${reason}: ${message}`,
      });
    }
  }
}

/** Conditions that also become an event. */
const warnings = new Set([
  "ParseError",
  "LedgerCorrupt",
  "PodConflict",
  "UninjectedPods",
  "Unreachable",
  "Overlap",
]);

function deleting(shard: string, outcomes: readonly LedgerOutcome[]): Finding {
  const holders = outcomes.flatMap(({ ledger, facts }) =>
    (ledger.shards.find(({ name }) => name === shard)?.holders ?? []).filter(
      ({ uid }) => facts.get(uid)?.acknowledged !== true,
    ),
  );
  const message =
    holders.length === 0
      ? "nothing is granted by it any more"
      : `waits until ${names(holders)} have acknowledged that nothing is granted any more`;
  return { type: "Deleting", reason: "Revoking", message };
}

const rootPending: Finding = {
  type: "RootPending",
  reason: "RootPending",
  message: "this version makes no shards of a root: write each shard as a ShardingConfig of its own",
};

const fencePending: Finding = {
  type: "UnreachableFencePending",
  reason: "ActsAsWait",
  message:
    "this version gives grants no time to live: unreachable: Fence acts as Wait, which is the safe side",
};

const writeFencePending: Finding = {
  type: "WriteFencePending",
  reason: "ActsAsMoved",
  message: "this version fences what was moved away only: writeFence acts as Moved",
};

function names(holders: readonly { readonly pod: string }[]): string {
  return holders
    .map(({ pod }) => pod)
    .sort()
    .join(", ");
}

/** Two statuses of the same content whose conditions were dated a moment apart are the same. */
function isUnchanged(written: ShardingConfigStatus, next: ShardingConfigStatus): boolean {
  const undated = ({ conditions = [], ...rest }: ShardingConfigStatus) => ({
    ...rest,
    conditions: conditions.map(({ lastTransitionTime: _, ...condition }) => condition),
  });
  return isDeepStrictEqual(undated(written), undated(next));
}

function conditionsOf(value: unknown): Condition[] {
  return Array.isArray(value) ? value.filter(isCondition) : [];
}

function isCondition(value: unknown): value is Condition {
  return isRecord(value) && typeof value.type === "string" && typeof value.lastTransitionTime === "string";
}
