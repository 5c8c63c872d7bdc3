import { setTimeout as wait } from "node:timers/promises";

/** Hands out turns at a fixed pace; who comes late gets no more of them than the pace allows. */
export class Pacer {
  readonly #intervalMs: number;
  #nextAtMs = 0;

  constructor(perSecond: number) {
    this.#intervalMs = 1000 / perSecond;
  }

  async turn(): Promise<void> {
    const nowMs = performance.now();
    const atMs = Math.max(nowMs, this.#nextAtMs);
    this.#nextAtMs = atMs + this.#intervalMs;
    if (atMs > nowMs) await wait(atMs - nowMs);
  }
}
