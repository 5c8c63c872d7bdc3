import { Backoff } from "#runtime/backoff";
import type { Clock } from "#runtime/clock";

export interface WorkQueueDeps {
  readonly clock: Clock;
  readonly random: () => number;
  /** Pauses of `retry`; default 100 ms to 5 minutes. */
  readonly retryPause?: { readonly minMs: number; readonly maxMs: number };
}

/**
 * Keys that wait to be reconciled. A key is there once however often it is added; one that is added while it is
 * being worked on comes back afterwards, so no change is missed and no key is in two hands.
 */
export class WorkQueue implements Disposable {
  readonly #deps: WorkQueueDeps;
  /** In order of arrival. */
  readonly #ready = new Set<string>();
  readonly #running = new Set<string>();
  /** Added again while running. */
  readonly #again = new Set<string>();
  readonly #delayed = new Map<string, { readonly dueMs: number; readonly timer: Disposable }>();
  readonly #failures = new Map<string, Backoff>();
  readonly #takers: ((key: string) => void)[] = [];
  #closed = false;

  constructor(deps: WorkQueueDeps) {
    this.#deps = deps;
  }

  /** Keys ready, running or waiting for their time. */
  get size(): number {
    return new Set([...this.#ready, ...this.#running, ...this.#delayed.keys()]).size;
  }

  add(key: string): void {
    if (this.#closed) return;
    this.#delayed.get(key)?.timer[Symbol.dispose]();
    this.#delayed.delete(key);
    if (this.#running.has(key)) {
      this.#again.add(key);
      return;
    }
    const taker = this.#ready.has(key) ? undefined : this.#takers.shift();
    if (taker === undefined) {
      this.#ready.add(key);
      return;
    }
    this.#running.add(key);
    taker(key);
  }

  /** Adds a key after `ms`; of two times for one key the earlier counts. */
  addAfter(key: string, ms: number): void {
    if (this.#closed) return;
    if (ms <= 0) {
      this.add(key);
      return;
    }
    const { clock } = this.#deps;
    const dueMs = clock.monotonicMs() + ms;
    const planned = this.#delayed.get(key);
    if (planned !== undefined && planned.dueMs <= dueMs) return;
    planned?.timer[Symbol.dispose]();
    this.#delayed.set(key, { dueMs, timer: clock.timer(ms, () => this.add(key)) });
  }

  /** Adds a key after its own growing pause. Returns the pause in milliseconds. */
  retry(key: string): number {
    const { clock, random, retryPause = { minMs: 100, maxMs: 300_000 } } = this.#deps;
    const backoff = this.#failures.get(key) ?? new Backoff({ ...retryPause, clock, random });
    this.#failures.set(key, backoff);
    const pauseMs = backoff.nextDelayMs();
    this.addAfter(key, pauseMs);
    return pauseMs;
  }

  /** The key went well: its next failure waits briefly again. */
  forget(key: string): void {
    this.#failures.delete(key);
  }

  /** The next key, which is the caller's until `done`. Rejects with the signal's reason. */
  take(signal: AbortSignal): Promise<string> {
    if (signal.aborted) return Promise.reject(signal.reason);
    const [next] = this.#ready;
    if (next !== undefined) {
      this.#ready.delete(next);
      this.#running.add(next);
      return Promise.resolve(next);
    }
    return new Promise((resolve, reject) => {
      const stop = () => {
        this.#takers.splice(this.#takers.indexOf(taker), 1);
        reject(signal.reason);
      };
      const taker = (key: string) => {
        signal.removeEventListener("abort", stop);
        resolve(key);
      };
      this.#takers.push(taker);
      signal.addEventListener("abort", stop, { once: true });
    });
  }

  /** Gives a taken key back; it comes again when it was added meanwhile. */
  done(key: string): void {
    this.#running.delete(key);
    if (this.#again.delete(key)) this.add(key);
  }

  /** Forgets all keys and times; later additions do nothing. Those who take wait for their signal. */
  [Symbol.dispose](): void {
    this.#closed = true;
    this.#ready.clear();
    this.#again.clear();
    this.#failures.clear();
    for (const { timer } of this.#delayed.values()) timer[Symbol.dispose]();
    this.#delayed.clear();
  }
}
