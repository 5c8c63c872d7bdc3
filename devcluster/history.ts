import type { Change, Stored } from "./storage.ts";

/** The last changes of one collection, oldest first. */
export class History {
  readonly #limit: number;
  #changes: Change[] = [];
  /** Changes before this index are dropped; the array is cut when half of it is. */
  #start = 0;
  #droppedRevision = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The revision of the newest change that was dropped; 0 when none was. */
  get droppedRevision(): number {
    return this.#droppedRevision;
  }

  add(change: Change): void {
    this.#changes.push(change);
    if (this.#changes.length - this.#start <= this.#limit) return;
    this.#droppedRevision = this.#changes[this.#start]?.revision ?? this.#droppedRevision;
    this.#start++;
    if (this.#start * 2 < this.#changes.length) return;
    this.#changes = this.#changes.slice(this.#start);
    this.#start = 0;
  }

  clear(): void {
    this.#droppedRevision = this.#changes.at(-1)?.revision ?? this.#droppedRevision;
    this.#changes = [];
    this.#start = 0;
  }

  after(revision: number): readonly Change[] {
    return this.#changes.slice(this.#indexAfter(revision));
  }

  /** What the keys that changed after a revision held at it; undefined: the key did not exist. */
  undoneAfter(revision: number, prefix: string): ReadonlyMap<string, Stored | undefined> {
    const undone = new Map<string, Stored | undefined>();
    for (let index = this.#indexAfter(revision); index < this.#changes.length; index++) {
      const change = this.#changes[index];
      if (change !== undefined && !undone.has(change.key) && change.key.startsWith(prefix))
        undone.set(change.key, change.previous);
    }
    return undone;
  }

  /** Index of the first change after a revision, by binary search. */
  #indexAfter(revision: number): number {
    let low = this.#start;
    let high = this.#changes.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#changes[middle]?.revision ?? 0) <= revision) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
