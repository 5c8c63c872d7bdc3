import type { KubernetesObject } from "#api/meta";
import { isApiError } from "#kube/client/api-error";
import type { Informer, KubeClient, ResourceKind } from "#kube/client/client";
import type { Clock } from "#runtime/clock";
import type { ConnectedProxy, Proxies } from "../control/proxies.ts";
import { isSameNumber } from "../control/proxies.ts";
import { type ObservedPod, observePod } from "./pod-classes.ts";
import type { PodFacts } from "./pod-facts.ts";

export const podKind: ResourceKind = { group: "", version: "v1", resource: "pods", namespaced: true };

export interface PodTrackerDeps {
  readonly client: KubeClient;
  readonly proxies: Pick<Proxies, "get">;
  readonly clock: Clock;
}

/** A pod that facts are wanted of: one that the ledger records, or one that runs. */
export interface TrackedPod {
  readonly uid: string;
  readonly pod: string;
  readonly shard: string;
  readonly refusal: string | undefined;
  /** Key of the snapshot that the stored ledger gives it; undefined: none is to be sent. */
  readonly contentKey: string | undefined;
}

interface Memory {
  terminatedSeen: boolean;
  absentSinceMs: number | undefined;
  deletionOrdered: boolean;
  /** Monotonic time since which it counts as unreachable. */
  silentSinceMs: number | undefined;
}

/**
 * What was seen of pods over time, which no single read shows: terminations, absences, silence. All of it is
 * memory of this process; a manager that starts knows nothing and takes every recorded holder as live.
 */
export class PodTracker {
  readonly #deps: PodTrackerDeps;
  readonly #memories = new Map<string, Memory>();

  constructor(deps: PodTrackerDeps) {
    this.#deps = deps;
  }

  /** To be told of each change of a pod that the informer saw, the last state of a deleted one included. */
  saw(object: KubernetesObject): void {
    const pod = observePod(object);
    if (pod.terminated) this.#memory(pod.uid).terminatedSeen = true;
  }

  deletionOrdered(uid: string): void {
    this.#memory(uid).deletionOrdered = true;
  }

  /** Monotonic time since which a pod has no stream; undefined while it has one. */
  silentSinceMs(uid: string): number | undefined {
    return this.#memories.get(uid)?.silentSinceMs;
  }

  /**
   * Facts of the tracked pods. What the informer does not show is asked of the API server, until its absence is
   * certain: a UID never comes back.
   */
  async factsOf(
    tracked: readonly TrackedPod[],
    namespace: string,
    pods: Informer,
    signal: AbortSignal,
  ): Promise<Map<string, PodFacts>> {
    const copies = new Map(pods.list(namespace).map((object) => [object.metadata?.uid ?? "", object]));
    const facts = new Map<string, PodFacts>();
    for (const pod of tracked) {
      const copy = copies.get(pod.uid) ?? (await this.#read(pod, namespace, signal));
      facts.set(pod.uid, this.#factsOf(pod, copy === undefined ? undefined : observePod(copy)));
    }
    return facts;
  }

  /** Forgets all but these pods. */
  retain(uids: ReadonlySet<string>): void {
    for (const uid of this.#memories.keys()) if (!uids.has(uid)) this.#memories.delete(uid);
  }

  async #read(
    { uid, pod }: TrackedPod,
    namespace: string,
    signal: AbortSignal,
  ): Promise<KubernetesObject | undefined> {
    const memory = this.#memory(uid);
    if (memory.absentSinceMs !== undefined) return undefined;
    const found = await this.#deps.client
      .get(podKind, { namespace, name: pod }, { signal })
      .catch((thrown: unknown) => {
        if (isApiError(thrown, "API_NOT_FOUND")) return undefined;
        throw thrown;
      });
    if (found?.metadata?.uid === uid) return found;
    memory.absentSinceMs = this.#deps.clock.monotonicMs();
    return undefined;
  }

  #factsOf(tracked: TrackedPod, observed: ObservedPod | undefined): PodFacts {
    const { uid, pod, shard, refusal, contentKey } = tracked;
    const memory = this.#memory(uid);
    const proxy = this.#deps.proxies.get(uid);
    if (observed?.terminated === true) memory.terminatedSeen = true;
    this.#noteSilence(memory, proxy);
    const answered = contentKey !== undefined && proxy?.sent?.contentKey === contentKey ? proxy : undefined;
    const acknowledged = answered !== undefined && hasAcknowledged(answered);
    return {
      uid,
      pod,
      shard,
      refusal,
      connected: proxy !== undefined,
      acknowledged,
      nack: answered?.refused?.reason,
      quietSinceMs: acknowledged ? answered.quietSinceMs : undefined,
      ready: observed?.ready ?? false,
      unbound: observed?.unbound ?? false,
      terminating: observed?.terminating === true || memory.deletionOrdered,
      terminatedSeen: memory.terminatedSeen,
      absentSinceMs: memory.absentSinceMs,
    };
  }

  #noteSilence(memory: Memory, proxy: ConnectedProxy | undefined): void {
    if (proxy !== undefined) memory.silentSinceMs = undefined;
    else memory.silentSinceMs ??= this.#deps.clock.monotonicMs();
  }

  #memory(uid: string): Memory {
    const known = this.#memories.get(uid);
    if (known !== undefined) return known;
    const memory: Memory = {
      terminatedSeen: false,
      absentSinceMs: undefined,
      deletionOrdered: false,
      silentSinceMs: undefined,
    };
    this.#memories.set(uid, memory);
    return memory;
  }
}

function hasAcknowledged({ sent, acknowledged }: ConnectedProxy): boolean {
  return sent !== undefined && acknowledged !== undefined && isSameNumber(sent.id, acknowledged.id);
}
