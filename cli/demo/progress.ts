/** Progress for people, on standard error: one line per step with the time it took. */
export class Progress {
  readonly #write: (text: string) => void;
  readonly #start = performance.now();

  constructor(write: (text: string) => void) {
    this.#write = write;
  }

  get seconds(): number {
    return (performance.now() - this.#start) / 1000;
  }

  /** Runs a step and prints its line when it is done. */
  async step<T>(title: string, work: () => Promise<T>): Promise<T> {
    const start = performance.now();
    const result = await work();
    const took = ((performance.now() - start) / 1000).toFixed(1);
    this.#write(`  ✓ ${title} (${took} s)\n`);
    return result;
  }

  /** A line between steps. */
  note(text: string): void {
    this.#write(`    ${text}\n`);
  }
}
