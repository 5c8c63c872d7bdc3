/** What a gate pauses and resumes. */
export interface Readable {
  pause(): unknown;
  resume(): unknown;
}

export type HoldReason = "outlet full" | "request waits";

/** Reading from one socket: paused while at least one reason holds it. */
export class ReadGate {
  readonly #readable: Readable;
  #isOutletFull = false;
  #doesRequestWait = false;

  constructor(readable: Readable) {
    this.#readable = readable;
  }

  hold(reason: HoldReason): void {
    if (!this.#isHeld) this.#readable.pause();
    this.#set(reason, true);
  }

  release(reason: HoldReason): void {
    if (!this.#isHeld) return;
    this.#set(reason, false);
    if (!this.#isHeld) this.#readable.resume();
  }

  get #isHeld(): boolean {
    return this.#isOutletFull || this.#doesRequestWait;
  }

  #set(reason: HoldReason, isHeld: boolean): void {
    if (reason === "outlet full") this.#isOutletFull = isHeld;
    else this.#doesRequestWait = isHeld;
  }
}
