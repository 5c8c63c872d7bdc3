import { History } from "./history.ts";
import type { KubeObject } from "./kube-object.ts";
import { insertSorted, rangeOf, removeSorted } from "./sorted-keys.ts";

/** One version of one object. Immutable. */
export interface Stored {
  /** "namespace/name", or "name" for cluster-scoped kinds. */
  readonly key: string;
  readonly revision: number;
  readonly object: KubeObject;
}

/** One write. `current` is absent for a deletion, `previous` for a creation. */
export interface Change {
  /** Of the collection, for example "apps/statefulsets". */
  readonly collection: string;
  readonly key: string;
  readonly revision: number;
  readonly previous: Stored | undefined;
  readonly current: Stored | undefined;
}

export type WriteOutcome =
  | { readonly kind: "stored"; readonly stored: Stored }
  | { readonly kind: "exists" }
  | { readonly kind: "conflict"; readonly current: Stored | undefined };

interface Collection {
  readonly entries: Map<string, Stored>;
  /** The keys of `entries` in the order of etcd, so that lists and pages need no sorting. */
  readonly keys: string[];
  readonly history: History;
}

/**
 * All objects in memory, with one revision counter for everything, as etcd has. Every write is one step: what
 * was read and compared within one turn of the event loop cannot change in between.
 *
 * The history of each collection reaches back `historyLimit` changes; older states and watches from them are
 * refused (`compactedRevision`).
 */
export class Storage {
  readonly #collections = new Map<string, Collection>();
  readonly #listeners = new Set<(change: Change) => void>();
  readonly #historyLimit: number;
  #revision = 1;
  #compacted = 0;

  constructor(historyLimit = 10_000) {
    this.#historyLimit = historyLimit;
  }

  /** The revision of the last write. */
  get revision(): number {
    return this.#revision;
  }

  /** States before this revision can no longer be read, and a watch cannot start before it. */
  compactedRevision(collection: string): number {
    return Math.max(this.#compacted, this.#collection(collection).history.droppedRevision);
  }

  get(collection: string, key: string): Stored | undefined {
    return this.#collection(collection).entries.get(key);
  }

  create(collection: string, key: string, object: KubeObject): WriteOutcome {
    const { entries, keys } = this.#collection(collection);
    if (entries.has(key)) return { kind: "exists" };
    insertSorted(keys, key);
    return { kind: "stored", stored: this.#put(collection, key, object, undefined) };
  }

  /** Replaces the version with the given revision. */
  update(collection: string, key: string, object: KubeObject, expectedRevision: number): WriteOutcome {
    const current = this.get(collection, key);
    if (current?.revision !== expectedRevision) return { kind: "conflict", current };
    return { kind: "stored", stored: this.#put(collection, key, object, current) };
  }

  /**
   * Removes the version with the given revision; the outcome holds the last state.
   *
   * @param last the state that watchers see as the last one, when the write that deletes also changed something
   */
  delete(collection: string, key: string, expectedRevision: number, last?: KubeObject): WriteOutcome {
    const { entries, keys } = this.#collection(collection);
    const existing = entries.get(key);
    if (existing?.revision !== expectedRevision) return { kind: "conflict", current: existing };
    const previous = last === undefined ? existing : { ...existing, object: last };
    entries.delete(key);
    removeSorted(keys, key);
    this.#publish({ collection, key, revision: ++this.#revision, previous, current: undefined });
    return { kind: "stored", stored: previous };
  }

  #put(collection: string, key: string, object: KubeObject, previous: Stored | undefined): Stored {
    const revision = ++this.#revision;
    const metadata = { ...object.metadata, resourceVersion: String(revision) };
    const current: Stored = { key, revision, object: { ...object, metadata } };
    this.#collection(collection).entries.set(key, current);
    this.#publish({ collection, key, revision, previous, current });
    return current;
  }

  #publish(change: Change): void {
    this.#collection(change.collection).history.add(change);
    for (const listener of this.#listeners) listener(change);
  }

  /**
   * All objects whose key starts with `prefix`, in key order, as they were at `revision` (default: now). The cost
   * grows with the collection, and with the changes since that revision.
   */
  list(collection: string, prefix: string, revision = this.#revision): Stored[] {
    const { entries, keys, history } = this.#collection(collection);
    const [start, end] = rangeOf(keys, prefix);
    const undone = history.undoneAfter(revision, prefix);
    const result: Stored[] = [];
    for (let index = start; index < end; index++) {
      const key = keys[index] ?? "";
      if (undone.has(key)) continue;
      const stored = entries.get(key);
      if (stored !== undefined) result.push(stored);
    }
    if (undone.size === 0) return result;
    for (const stored of undone.values()) if (stored !== undefined) result.push(stored);
    return result.sort((left, right) => (left.key < right.key ? -1 : 1));
  }

  /** Changes after a revision, oldest first. Complete only from `compactedRevision` on. */
  changesAfter(collection: string, revision: number): readonly Change[] {
    return this.#collection(collection).history.after(revision);
  }

  /** Called in the same turn as each write, in order. */
  onChange(listener: (change: Change) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) };
  }

  /** Forgets all history up to now: older resourceVersions are Expired from here on. */
  compact(): void {
    this.#compacted = this.#revision;
    for (const { history } of this.#collections.values()) history.clear();
  }

  collections(): string[] {
    return [...this.#collections.keys()];
  }

  #collection(name: string): Collection {
    const existing = this.#collections.get(name);
    if (existing !== undefined) return existing;
    const collection = { entries: new Map(), keys: [], history: new History(this.#historyLimit) };
    this.#collections.set(name, collection);
    return collection;
  }
}
