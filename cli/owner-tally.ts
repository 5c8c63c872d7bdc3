/** Objects with a fault: how many, and the first few by name. */
export interface Sample {
  readonly count: number;
  readonly examples: readonly string[];
}

/** A sample that grows; its memory does not. */
export class Sampler implements Sample {
  readonly #limit: number;
  readonly #examples: string[] = [];
  #count = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get count(): number {
    return this.#count;
  }

  get examples(): readonly string[] {
    return this.#examples;
  }

  add(name: string): void {
    this.#count++;
    if (this.#examples.length < this.#limit) this.#examples.push(name);
  }
}

/**
 * Counts objects by their owners, one after the other: the proof that each has exactly one. It keeps counts and some
 * names, so any number of objects can be judged.
 */
export class OwnerTally {
  readonly unowned: Sampler;
  /** Objects that more than one owner sees. */
  readonly shared: Sampler;
  readonly #byOwner = new Map<string, number>();
  #objects = 0;

  /** @param exampleLimit names that are kept of each fault */
  constructor(exampleLimit: number) {
    this.unowned = new Sampler(exampleLimit);
    this.shared = new Sampler(exampleLimit);
  }

  /** Objects that were counted. */
  get objects(): number {
    return this.#objects;
  }

  /** Each object that was counted has one owner. Without objects nothing is proven, and it holds. */
  get isExact(): boolean {
    return this.unowned.count === 0 && this.shared.count === 0;
  }

  countOf(owner: string): number {
    return this.#byOwner.get(owner) ?? 0;
  }

  add(name: string, owners: readonly string[]): void {
    this.#objects++;
    if (owners.length === 0) this.unowned.add(name);
    if (owners.length > 1) this.shared.add(name);
    for (const owner of owners) this.#byOwner.set(owner, this.countOf(owner) + 1);
  }
}
