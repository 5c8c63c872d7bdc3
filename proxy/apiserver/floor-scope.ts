import { CtrlmeshError } from "#api/errors";
import { Backoff } from "#runtime/backoff";
import type { Clock } from "#runtime/clock";
import type { Log } from "#runtime/log";
import type { Floor } from "./floor-rules.ts";
import { isBelow, isDecimal, isZero, nextVersion } from "./resource-version.ts";

/** Answer of one floor read. */
export type FloorAnswer =
  | { readonly kind: "known"; readonly resourceVersion: string }
  /** 403: this scope may not be listed. */
  | { readonly kind: "forbidden" }
  /** 404 or 405: the API server does not serve lists of it. */
  | { readonly kind: "absent" };

/** What one floor read asks for. */
export interface FloorQuestion {
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  /** Undefined: cluster-wide. */
  readonly namespace: string | undefined;
  /** The shard's, text form. It does not matter for the answer: no read of a limited resource goes without it. */
  readonly selector: string;
}

/**
 * Reads the current resourceVersion of a resource by a consistent list. Rejects when the API server gave no usable
 * answer, and as soon as the signal aborts.
 */
export type ReadFloor = (question: FloorQuestion, signal: AbortSignal) => Promise<FloorAnswer>;

/** What a scope says to one request. */
export type FloorState =
  | { readonly kind: "known"; readonly floor: Floor }
  | { readonly kind: "unreadable" }
  /** Ask again once `ready` resolves; it never rejects. */
  | { readonly kind: "wait"; readonly ready: Promise<void> };

export interface FloorScopeDeps {
  readonly read: ReadFloor;
  readonly clock: Clock;
  readonly log: Log;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Ends running reads and those that wait for their next attempt. */
  readonly signal: AbortSignal;
  /** Called when a floor has become known, or clean, to bring the table to the disk. */
  readonly onKnown: () => void;
}

/** Which floor it is. */
export interface ScopeName {
  readonly group: string;
  readonly resource: string;
  /** Undefined: cluster-wide. */
  readonly namespace: string | undefined;
  /** The shard's selector that the floor belongs to: under another one it does not count. */
  readonly selector: string;
}

/** A floor that is known from the start. */
export interface KnownFloor {
  /** Decimal. */
  readonly resourceVersion: string;
  /** Whether nothing of an earlier view can have this very resourceVersion. */
  readonly isClean: boolean;
}

/** A read that hangs counts as failed before those who wait for it give up (5 s). */
const readDeadlineMs = 4_000;
/** Reads fail while the API server is away: the first retry comes soon, later ones spare it. */
const readRetryMs = { minMs: 100, maxMs: 5_000 };
/** Between two looks whether the API server has moved on. In most clusters something is written all the time. */
const pollMs = { minMs: 50, maxMs: 500 };
/** Rights change rarely, and a request waits for each of these reads. */
const forbiddenRetryMs = 30_000;
/** A kind may be established at any time, and its watches are refused until its floor is known. */
const absentRetryMs = 1_000;

/**
 * The floor of one resource, cluster-wide or in one namespace, from its first read on.
 *
 * The first read tells F. What an earlier view has handed out is at F or below, what this one hands out at F or
 * above: as long as nothing is written, both may be at F itself, and the floor is dirty. Who goes on from F then
 * waits, and while somebody does, reads follow each other until one tells of a newer state. From there on the floor
 * is F + 1, clean: all that was F is refused, and each list that follows is above.
 */
export class FloorScope {
  readonly name: ScopeName;
  readonly #deps: FloorScopeDeps;
  readonly #forgotten = new AbortController();
  /** API version of whoever asked last. */
  #version = "";
  #answer: FloorAnswer | undefined;
  #isClean = false;
  /** On the monotonic clock; only for answers that do not last. */
  #retryAtMs = 0;
  #isPolling = false;
  /** Whether somebody has asked to wait since the last poll. */
  #isAwaited = false;
  /** Another one each time that those who wait are woken. */
  #ready = Promise.withResolvers<void>();

  constructor(name: ScopeName, deps: FloorScopeDeps) {
    this.name = name;
    this.#deps = deps;
  }

  static known(name: ScopeName, { resourceVersion, isClean }: KnownFloor, deps: FloorScopeDeps): FloorScope {
    const scope = new FloorScope(name, deps);
    scope.#answer = { kind: "known", resourceVersion };
    scope.#isClean = isClean;
    return scope;
  }

  /**
   * Starts the first read.
   *
   * @param isFirstView whether nothing was ever shown under another view, so that the floor is clean from the start
   */
  start(version: string, isFirstView: boolean): void {
    this.#version = version;
    void this.#readFirst(isFirstView);
  }

  get isForbidden(): boolean {
    return this.#answer?.kind === "forbidden";
  }

  /** Whether it was an answer that does not last, and its time is over. */
  get isStale(): boolean {
    const isLasting = this.#answer === undefined || this.#answer.kind === "known";
    return !isLasting && this.#deps.clock.monotonicMs() >= this.#retryAtMs;
  }

  /** What is known, for the disk. */
  get known(): KnownFloor | undefined {
    if (this.#answer?.kind !== "known") return undefined;
    return { resourceVersion: this.#answer.resourceVersion, isClean: this.#isClean };
  }

  /** @param version the API version that the request names */
  stateFor(version: string): FloorState {
    this.#version = version;
    if (this.#answer === undefined) return { kind: "wait", ready: this.#ready.promise };
    if (this.#answer.kind !== "known") return { kind: "unreadable" };
    const { resourceVersion } = this.#answer;
    const untilMoved = this.#isClean ? undefined : () => this.#untilMoved();
    return { kind: "known", floor: { resourceVersion, untilMoved } };
  }

  /** Ends its reads; those who wait ask again, and so another one. */
  forget(): void {
    this.#forgotten.abort();
    this.#ready.resolve();
  }

  #untilMoved(): Promise<void> {
    this.#isAwaited = true;
    if (!this.#isPolling) {
      this.#isPolling = true;
      void this.#poll();
    }
    return this.#ready.promise;
  }

  /** Until there is an answer, or nobody wants it any more. Never rejects. */
  async #readFirst(isFirstView: boolean): Promise<void> {
    const signal = this.#signal();
    const retry = this.#backoff(readRetryMs);
    while (!signal.aborted) {
      const answer = await this.#read(signal);
      if (signal.aborted) return;
      if (answer !== undefined) {
        // Nothing goes on from a resource without versions.
        const isClean = isFirstView || (answer.kind === "known" && isZero(answer.resourceVersion));
        this.#take(answer, isClean);
        return;
      }
      this.#letAskAgain();
      await pause(retry, signal);
    }
  }

  /** Until the API server is seen beyond the floor, or nobody waits any more. Never rejects. */
  async #poll(): Promise<void> {
    const signal = this.#signal();
    const quiet = this.#backoff(pollMs);
    const failed = this.#backoff(readRetryMs);
    let backoff = quiet;
    while (this.#answer?.kind === "known" && !this.#isClean) {
      await pause(backoff, signal);
      if (signal.aborted || !this.#isAwaited) break;
      const answer = await this.#read(signal);
      if (signal.aborted) break;
      this.#isAwaited = false;
      backoff = answer === undefined ? failed : quiet;
      if (answer === undefined || !this.#isBeyond(answer)) this.#letAskAgain();
      else if (answer.kind !== "known") this.#take(answer, false);
      else this.#take({ kind: "known", resourceVersion: nextVersion(this.#answer.resourceVersion) }, true);
    }
    this.#isPolling = false;
  }

  /** Whether an answer ends the doubt about the floor: by a newer state, or because it can't be read any more. */
  #isBeyond(answer: FloorAnswer): boolean {
    if (answer.kind !== "known" || this.#answer?.kind !== "known") return true;
    return isBelow(this.#answer.resourceVersion, answer.resourceVersion);
  }

  #take(answer: FloorAnswer, isClean: boolean): void {
    this.#answer = answer;
    this.#isClean = isClean;
    const lastsMs = answer.kind === "forbidden" ? forbiddenRetryMs : absentRetryMs;
    this.#retryAtMs = this.#deps.clock.monotonicMs() + lastsMs;
    this.#letAskAgain();
    if (answer.kind === "known") this.#deps.onKnown();
  }

  /**
   * Wakes those who wait, and those who still want to know ask again. A promise keeps all that ever waited for it
   * until it resolves: while the API server is away, each request that gave up would stay in memory.
   */
  #letAskAgain(): void {
    const { resolve } = this.#ready;
    this.#ready = Promise.withResolvers();
    resolve();
  }

  /** Undefined when it failed, which is logged. Never rejects. */
  async #read(signal: AbortSignal): Promise<FloorAnswer | undefined> {
    const { read, clock, log } = this.#deps;
    const deadline = new AbortController();
    const timer = clock.timer(readDeadlineMs, () => {
      deadline.abort(new CtrlmeshError("TIMEOUT", { what: `no answer within ${readDeadlineMs} ms` }));
    });
    try {
      const question = { ...this.name, version: this.#version };
      return usable(await read(question, AbortSignal.any([signal, deadline.signal])));
    } catch (error) {
      const { group, resource, namespace } = this.name;
      if (!signal.aborted) log.warn("floor could not be read", { group, resource, namespace, error });
      return undefined;
    } finally {
      timer[Symbol.dispose]();
    }
  }

  #signal(): AbortSignal {
    return AbortSignal.any([this.#deps.signal, this.#forgotten.signal]);
  }

  #backoff(delays: { readonly minMs: number; readonly maxMs: number }): Backoff {
    const { clock, random } = this.#deps;
    return new Backoff({ ...delays, clock, random });
  }
}

/** Also over when the signal aborts. */
function pause(backoff: Backoff, signal: AbortSignal): Promise<void> {
  return backoff.wait(signal).catch(() => undefined);
}

/** Resources without versions (metrics and the like) can't be watched from one: nothing is below "0". */
function usable(answer: FloorAnswer): FloorAnswer {
  if (answer.kind !== "known" || isDecimal(answer.resourceVersion)) return answer;
  if (answer.resourceVersion === "") return { kind: "known", resourceVersion: "0" };
  throw new Error(`the resource version "${answer.resourceVersion}" is no number`);
}
