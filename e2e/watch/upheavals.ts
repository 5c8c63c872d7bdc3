/** When something happened that may make an API server or a proxy forget how old a version is good for. */
export class Upheavals {
  #lastMs = Number.NEGATIVE_INFINITY;
  #running = 0;

  /** Runs what may have such an effect. */
  async during<T>(action: () => Promise<T>): Promise<T> {
    this.#running++;
    try {
      return await action();
    } finally {
      this.#running--;
      this.#lastMs = performance.now();
    }
  }

  hasHappenedSince(ms: number): boolean {
    return this.#running > 0 || this.#lastMs >= ms;
  }
}
