import type { Clock } from "./clock.ts";

interface Waiting {
  readonly dueMs: number;
  readonly order: number;
  readonly fire: () => void;
}

/**
 * A clock for tests that stands still until it is moved. Timers fire in the order in which they are due; between
 * two of them the event loop turns once, so that what a timer started has run as far as it can without time.
 */
export class FakeClock implements Clock {
  #wallMs: number;
  #monotonicMs = 0;
  #order = 0;
  readonly #waiting = new Set<Waiting>();
  readonly #watchers = new Set<() => void>();

  constructor(startMs = Date.UTC(2030, 0, 1)) {
    this.#wallMs = startMs;
  }

  now(): number {
    return this.#wallMs;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      const stop = () => {
        timer[Symbol.dispose]();
        reject(signal.reason);
      };
      const timer = this.timer(ms, () => {
        signal.removeEventListener("abort", stop);
        resolve();
      });
      signal.addEventListener("abort", stop, { once: true });
    });
  }

  timer(ms: number, callback: () => void): Disposable {
    const waiting: Waiting = { dueMs: this.#monotonicMs + ms, order: this.#order++, fire: callback };
    this.#waiting.add(waiting);
    for (const watcher of [...this.#watchers]) watcher();
    return { [Symbol.dispose]: () => void this.#waiting.delete(waiting) };
  }

  /** Number of timers and sleeps that have not fired yet. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Milliseconds until the earliest timer; undefined without one. */
  get nextDueInMs(): number | undefined {
    const first = this.#first();
    return first === undefined ? undefined : first.dueMs - this.#monotonicMs;
  }

  /** Resolves as soon as at least `count` timers wait; fails after two real seconds, naming what was missing. */
  whenWaiting(count = 1): Promise<void> {
    if (this.#waiting.size >= count) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const watcher = () => {
        if (this.#waiting.size < count) return;
        this.#watchers.delete(watcher);
        clearTimeout(deadline);
        resolve();
      };
      const deadline = setTimeout(() => {
        this.#watchers.delete(watcher);
        reject(new Error(`${count} timers expected on the fake clock, ${this.#waiting.size} are waiting`));
      }, 2000);
      this.#watchers.add(watcher);
    });
  }

  /** Moves both clocks on by `ms` and fires what falls due on the way, timers started meanwhile included. */
  async advance(ms: number): Promise<void> {
    const targetMs = this.#monotonicMs + ms;
    for (;;) {
      const first = this.#first();
      if (first === undefined || first.dueMs > targetMs) break;
      this.#moveTo(Math.max(first.dueMs, this.#monotonicMs));
      this.#waiting.delete(first);
      first.fire();
      await turnEventLoop();
    }
    this.#moveTo(targetMs);
    await turnEventLoop();
  }

  /** Moves only the wall clock, as an administrator or NTP would: no timer fires. */
  jumpWall(ms: number): void {
    this.#wallMs += ms;
  }

  #moveTo(monotonicMs: number): void {
    this.#wallMs += monotonicMs - this.#monotonicMs;
    this.#monotonicMs = monotonicMs;
  }

  #first(): Waiting | undefined {
    let first: Waiting | undefined;
    for (const candidate of this.#waiting) {
      const earlier =
        first === undefined ||
        candidate.dueMs < first.dueMs ||
        (candidate.dueMs === first.dueMs && candidate.order < first.order);
      if (earlier) first = candidate;
    }
    return first;
  }
}

function turnEventLoop(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
