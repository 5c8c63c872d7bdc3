/** Progress for people, on standard error: one line per step with the time it took. */
export class Progress {
  readonly #write: (text: string) => void;
  readonly #quietMs: number;
  readonly #start = performance.now();
  readonly #running = new Set<string>();

  /** @param options.quietMs steps that took less are not worth a line; default 0 */
  constructor(write: (text: string) => void, options: { readonly quietMs?: number } = {}) {
    this.#write = write;
    this.#quietMs = options.quietMs ?? 0;
  }

  get seconds(): number {
    return (performance.now() - this.#start) / 1000;
  }

  /** The steps that run, and those that failed; undefined for none. */
  get current(): string | undefined {
    return this.#running.size === 0 ? undefined : [...this.#running].join(", ");
  }

  /** Runs a step and prints its line when it is done. */
  async step<T>(title: string, work: () => Promise<T>): Promise<T> {
    const start = performance.now();
    this.#running.add(title);
    const result = await work();
    const tookMs = performance.now() - start;
    if (tookMs >= this.#quietMs) this.#write(`  ✓ ${title} (${(tookMs / 1000).toFixed(1)} s)\n`);
    this.#running.delete(title);
    return result;
  }

  /** A line between steps. */
  note(text: string): void {
    this.#write(`    ${text}\n`);
  }
}
