import type { Clock } from "#runtime/clock";

export interface RateLimit {
  /** Requests per second in the long run. 0 is no limit. */
  readonly qps: number;
  /** How many may go at once after a quiet time. */
  readonly burst: number;
}

/**
 * Token bucket: callers go in the order they came. Keeps our own requests polite even to servers without API
 * Priority and Fairness.
 */
export class RateLimiter {
  readonly #limit: RateLimit;
  readonly #clock: Clock;
  /** Below zero: that many callers wait. */
  #tokens: number;
  #filledAt: number;

  constructor(limit: RateLimit, clock: Clock) {
    this.#limit = limit;
    this.#clock = clock;
    this.#tokens = limit.burst;
    this.#filledAt = clock.monotonicMs();
  }

  /** Resolves when the caller may go; rejects with the signal's reason, giving its turn back. */
  async take(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#limit.qps <= 0) return;
    this.#fill();
    this.#tokens -= 1;
    if (this.#tokens >= 0) return;
    const waitMs = (-this.#tokens / this.#limit.qps) * 1000;
    try {
      await this.#clock.sleep(waitMs, signal);
    } catch (stopped) {
      this.#tokens += 1;
      throw stopped;
    }
  }

  #fill(): void {
    const now = this.#clock.monotonicMs();
    const earned = ((now - this.#filledAt) / 1000) * this.#limit.qps;
    this.#tokens = Math.min(this.#limit.burst, this.#tokens + earned);
    this.#filledAt = now;
  }
}
