/** How many may run at once: grows slowly while all goes well, halves when the server is busy. */
export interface GateBounds {
  readonly min: number;
  readonly max: number;
}

/**
 * Bounded concurrency that follows the server's signals (additive increase, multiplicative decrease, as TCP):
 * one more after as many successes as may run at once, half of it at a 429.
 */
export class AdaptiveGate {
  readonly #bounds: GateBounds;
  readonly #waiting: (() => void)[] = [];
  #limit: number;
  #running = 0;
  #successes = 0;
  /** A busy server answers all that run with 429 at once; they count as one signal. */
  #throttledInFlight = 0;

  constructor(bounds: GateBounds) {
    this.#bounds = bounds;
    this.#limit = Math.max(bounds.min, Math.ceil(bounds.max / 4));
  }

  get limit(): number {
    return this.#limit;
  }

  /** Runs `work` when it may; passes it the callback for a throttling answer. */
  async run<T>(work: (onThrottle: () => void) => Promise<T>): Promise<T> {
    if (this.#running >= this.#limit) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running += 1;
    try {
      const result = await work(() => this.#throttled());
      this.#succeeded();
      return result;
    } finally {
      this.#leave();
    }
  }

  #succeeded(): void {
    this.#throttledInFlight = Math.max(0, this.#throttledInFlight - 1);
    this.#successes += 1;
    if (this.#successes < this.#limit || this.#limit >= this.#bounds.max) return;
    this.#successes = 0;
    this.#limit += 1;
    this.#wake();
  }

  #throttled(): void {
    this.#successes = 0;
    if (this.#throttledInFlight > 0) return;
    this.#throttledInFlight = this.#running;
    this.#limit = Math.max(this.#bounds.min, Math.floor(this.#limit / 2));
  }

  #leave(): void {
    this.#running -= 1;
    this.#wake();
  }

  #wake(): void {
    while (this.#running < this.#limit) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#running += 1;
      next();
    }
  }
}
