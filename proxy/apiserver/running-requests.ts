import type { RequestInfo } from "#kube/wire/request-info";
import { type KubernetesStatus, kubernetesStatus } from "#kube/wire/status";
import type { Clock } from "#runtime/clock";
import type { Log } from "#runtime/log";
import type { CompiledSnapshot } from "../snapshot.ts";
import type { DataPlaneCounters } from "./counters.ts";
import type { FloorTable, ResourcePredicate } from "./floor.ts";

/** Lists of the previous view that still run after this time are cut. */
const listDrainMs = 30_000;
/**
 * A write whose client or connection went away before the answer may still be carried out by the API server. It
 * counts as in flight for this long, since nobody will ever tell.
 */
const abandonedWriteMs = 5_000;

/** One request that was forwarded and whose response is not over. */
export interface RunningRequest {
  readonly info: RequestInfo;
  readonly mutates: boolean;
  /** Whether the shard's selector was put into it. */
  readonly isLimited: boolean;
  /** The snapshot that it was decided under. */
  readonly snapshot: CompiledSnapshot | undefined;
  readonly isWatch: boolean;
  readonly isUpgrade: boolean;
  /** Ends the watch between two events, with an ERROR event when there is a status; destroys it if that can't be. */
  endWatch(status: KubernetesStatus | undefined): void;
  destroy(): void;
}

/** What one switch did. */
export interface SwitchOutcome {
  /** Watches that got a 410 because their selector changed. */
  readonly watchesExpired: number;
  /** Lists of the previous view that still ran; their resources wait until they are over. */
  readonly listsDraining: number;
  /** Exec, attach and port-forward sessions into fenced namespaces that were cut. */
  readonly sessionsCut: number;
  /** Writes to fenced namespaces that were in flight and have been answered since. */
  readonly writesAwaited: number;
}

export interface RunningRequestsDeps {
  readonly floors: FloorTable;
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: DataPlaneCounters;
}

interface Switch {
  readonly isChanged: ResourcePredicate;
  /** Changes of later switches: their own drains decide about those resources. */
  readonly superseded: ResourcePredicate[];
}

/**
 * The requests that run, and the snapshot in force. A switch of snapshots leaves none of them silently under the
 * previous view: `ownership.md` sections 3 to 5.
 */
export class RunningRequests implements Disposable {
  readonly #deps: RunningRequestsDeps;
  /** Running requests with what to call when they are over; few are ever waited for. */
  readonly #running = new Map<RunningRequest, Set<() => void> | undefined>();
  readonly #draining = new Map<Switch, Disposable>();
  readonly #abandoned = new Set<Disposable>();
  #snapshot: CompiledSnapshot | undefined;

  constructor(snapshot: CompiledSnapshot | undefined, deps: RunningRequestsDeps) {
    this.#snapshot = snapshot;
    this.#deps = deps;
    if (snapshot?.granted) deps.floors.enter(snapshot.view);
  }

  get snapshot(): CompiledSnapshot | undefined {
    return this.#snapshot;
  }

  /** Lists and watches that were opened under another view than the one in force. */
  get onOlderView(): number {
    let count = 0;
    for (const request of this.#running.keys()) {
      if (this.#isOnOtherView(request, this.#snapshot)) count++;
    }
    return count;
  }

  get all(): readonly RunningRequest[] {
    return [...this.#running.keys()];
  }

  add(request: RunningRequest): void {
    this.#running.set(request, undefined);
  }

  /** @param isAnswered whether its response was seen to the end */
  remove(request: RunningRequest, isAnswered: boolean): void {
    if (!this.#running.has(request)) return;
    if (isAnswered || !request.mutates || request.isUpgrade) {
      this.#forget(request);
      return;
    }
    const timer = this.#deps.clock.timer(abandonedWriteMs, () => {
      this.#abandoned.delete(timer);
      this.#forget(request);
    });
    this.#abandoned.add(timer);
  }

  #forget(request: RunningRequest): void {
    const callbacks = this.#running.get(request) ?? [];
    this.#running.delete(request);
    for (const callback of callbacks) callback();
  }

  /** Resolves when all of the requests are over; rejects with the signal's reason. */
  whenOver(requests: readonly RunningRequest[], signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      let left = 1;
      const isOver = () => {
        if (--left > 0) return;
        signal.removeEventListener("abort", stop);
        resolve();
      };
      const stop = () => {
        for (const request of requests) this.#running.get(request)?.delete(isOver);
        reject(signal.reason);
      };
      signal.addEventListener("abort", stop, { once: true });
      for (const request of requests) {
        if (!this.#running.has(request)) continue;
        left++;
        this.#callbacksOf(request).add(isOver);
      }
      isOver();
    });
  }

  #callbacksOf(request: RunningRequest): Set<() => void> {
    const callbacks = this.#running.get(request) ?? new Set();
    this.#running.set(request, callbacks);
    return callbacks;
  }

  /**
   * Puts a snapshot in force, at once and whole, and deals with what runs:
   *
   * - watches whose selector changed get an in-stream 410, so that their clients list anew;
   * - lists whose selector changed run out (cut after 30 s); until then, and until the floor is read behind them,
   *   new requests of the resource wait;
   * - sessions (exec, attach, port-forward) into fenced namespaces are cut: they could run and write for hours;
   * - the promise resolves, for the ack, when every write in flight to a fenced namespace was answered.
   *
   * Requests whose selector did not change are left alone.
   *
   * @throws the signal's reason; the snapshot stays in force then, only the ack is not due
   */
  async switchTo(next: CompiledSnapshot, signal: AbortSignal): Promise<SwitchOutcome> {
    const previous = this.#snapshot;
    this.#snapshot = next;
    const isChanged: ResourcePredicate = (group, resource) =>
      selectorUnder(previous, group, resource) !== selectorUnder(next, group, resource);
    for (const unfinished of this.#draining.keys()) unfinished.superseded.push(isChanged);
    this.#deps.floors.hold(isChanged);
    if (next.granted) this.#deps.floors.enter(next.view);

    const changed = this.all.filter((request) => this.#isOnOtherView(request, next));
    const watches = changed.filter((request) => request.isWatch);
    const lists = changed.filter((request) => request.info.verb === "list");
    const sessions = this.all.filter(
      (request) => request.isUpgrade && !request.isWatch && isFencedUnder(next, request.info),
    );
    const status = kubernetesStatus("VIEW_CHANGED", "the shard of this operator changed; list again");
    for (const watch of watches) watch.endWatch(status);
    for (const session of sessions) session.destroy();
    this.#drainLists(lists, { isChanged, superseded: [] });

    const writes = this.all.filter((request) => request.mutates && isFencedUnder(next, request.info));
    await this.whenOver(writes, signal);
    return {
      watchesExpired: watches.length,
      listsDraining: lists.length,
      sessionsCut: sessions.length,
      writesAwaited: writes.length,
    };
  }

  #drainLists(lists: readonly RunningRequest[], drain: Switch): void {
    const stop = new AbortController();
    const timer = this.#deps.clock.timer(listDrainMs, () => {
      this.#deps.log.warn("lists of the previous view did not end and are cut", { count: lists.length });
      for (const list of lists) if (this.#running.has(list)) list.destroy();
    });
    this.#draining.set(drain, {
      [Symbol.dispose]: () => {
        timer[Symbol.dispose]();
        stop.abort();
      },
    });
    const finish = () => {
      if (stop.signal.aborted) return;
      timer[Symbol.dispose]();
      this.#draining.delete(drain);
      // A floor read before the lists of a later switch are over would be too low for them.
      this.#deps.floors.reset(
        (group, resource) =>
          drain.isChanged(group, resource) &&
          !drain.superseded.some((isChanged) => isChanged(group, resource)),
      );
    };
    if (lists.length === 0) finish();
    else this.whenOver(lists, stop.signal).then(finish, () => undefined);
  }

  /** Whether a list, watch or deletecollection would carry another selector under `snapshot`. */
  #isOnOtherView({ info, snapshot: own }: RunningRequest, snapshot: CompiledSnapshot | undefined): boolean {
    if (!info.isResource || own === snapshot) return false;
    if (info.verb !== "list" && info.verb !== "watch" && info.verb !== "deletecollection") return false;
    return selectorOf(own, info) !== selectorOf(snapshot, info);
  }

  [Symbol.dispose](): void {
    for (const drain of this.#draining.values()) drain[Symbol.dispose]();
    for (const timer of this.#abandoned) timer[Symbol.dispose]();
    this.#draining.clear();
    this.#abandoned.clear();
  }
}

/** Stands for "sees nothing": no snapshot, or one without a grant. Differs from every selector. */
const nothing = Symbol("nothing");

function selectorUnder(
  snapshot: CompiledSnapshot | undefined,
  group: string,
  resource: string,
): string | typeof nothing | undefined {
  if (snapshot === undefined || !snapshot.granted) return nothing;
  return snapshot.limitFor(group, resource)?.selector;
}

function selectorOf(
  snapshot: CompiledSnapshot | undefined,
  info: RequestInfo,
): string | typeof nothing | undefined {
  const isExempt = info.namespace !== "" && snapshot?.isUnfilteredNamespace(info.namespace) === true;
  return isExempt ? undefined : selectorUnder(snapshot, info.apiGroup, info.resource);
}

/** Whether a write in flight may touch what the shard may no longer write. */
function isFencedUnder(snapshot: CompiledSnapshot, info: RequestInfo): boolean {
  if (!snapshot.granted) return true;
  if (info.namespace !== "") return snapshot.isFenced(info.namespace);
  // Over all namespaces: a deletecollection in flight reaches into each of them.
  return info.verb === "deletecollection" && snapshot.hasFence;
}
