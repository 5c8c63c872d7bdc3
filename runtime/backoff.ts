import type { Clock } from "./clock.ts";

interface BackoffOptions {
  /** Shortest delay, in milliseconds. */
  readonly minMs: number;
  /** Longest delay, in milliseconds. */
  readonly maxMs: number;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/**
 * Exponential back-off with full jitter: the n-th delay is uniform between `minMs` and min(`maxMs`, `minMs` * 2^n),
 * n from 1. A thousand clients that lose the same server at the same moment so come back spread out.
 */
export class Backoff {
  readonly #options: BackoffOptions;
  #attempts = 0;

  constructor(options: BackoffOptions) {
    this.#options = options;
  }

  /** Delay before the next attempt, in milliseconds. Each call counts as one failure. */
  nextDelayMs(): number {
    const { minMs, maxMs, random } = this.#options;
    this.#attempts += 1;
    // 2^30 times any delay is beyond every ceiling; the bound keeps the power finite after weeks of failures.
    const ceilingMs = Math.min(maxMs, minMs * 2 ** Math.min(this.#attempts, 30));
    return minMs + random() * Math.max(0, ceilingMs - minMs);
  }

  /** Waits the next delay; rejects with the signal's reason when it aborts first. */
  wait(signal: AbortSignal): Promise<void> {
    return this.#options.clock.sleep(this.nextDelayMs(), signal);
  }

  /** Call it after a success that lasted: the next delay is a short one again. */
  reset(): void {
    this.#attempts = 0;
  }
}
