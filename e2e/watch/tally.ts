/** Counts of what a run has seen: a run that saw no 410 has tested no 410. */
export class Tally {
  readonly #counts = new Map<string, number>();

  add(what: string): void {
    this.#counts.set(what, this.of(what) + 1);
  }

  of(what: string): number {
    return this.#counts.get(what) ?? 0;
  }

  toString(): string {
    return [...this.#counts]
      .sort()
      .map(([what, count]) => `${what} ${count}`)
      .join(", ");
  }
}
