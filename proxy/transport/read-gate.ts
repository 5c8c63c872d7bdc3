/** What a gate pauses and resumes. */
export interface Readable {
  pause(): unknown;
  resume(): unknown;
}

/** Bits, so that holding and releasing costs nothing. */
const reasons = { "outlet full": 1, "request waits": 2, "window full": 4 } as const;

export type HoldReason = keyof typeof reasons;

/** Reading from one socket: paused while at least one reason holds it. */
export class ReadGate {
  readonly #readable: Readable;
  #held = 0;

  constructor(readable: Readable) {
    this.#readable = readable;
  }

  hold(reason: HoldReason): void {
    if (this.#held === 0) this.#readable.pause();
    this.#held |= reasons[reason];
  }

  release(reason: HoldReason): void {
    if (this.#held === 0) return;
    this.#held &= ~reasons[reason];
    if (this.#held === 0) this.#readable.resume();
  }
}
