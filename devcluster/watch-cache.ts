import type { KubeObject } from "./kube-object.ts";
import type { Change, Storage, Stored } from "./storage.ts";

export type WatchEventType = "ADDED" | "MODIFIED" | "DELETED";

/** Called in order and in the same turn as the write. */
export type WatchListener = (type: WatchEventType, object: KubeObject, revision: number) => void;

interface Watcher {
  readonly matches: (object: KubeObject) => boolean;
  readonly listener: WatchListener;
  readonly expire: () => void;
}

export interface WatchStart {
  readonly collection: string;
  /** "" for all. */
  readonly namespace: string;
  readonly matches: (object: KubeObject) => boolean;
  readonly listener: WatchListener;
  /** Called when the watch has to end with 410. */
  readonly expire: () => void;
}

/**
 * Hands each change to the watchers of its collection and namespace. What a watcher sees depends on whether the
 * object matched before and after: entering a selector is ADDED, leaving it DELETED, with the state before and
 * the resourceVersion of the change, as apiserver's cacher has it.
 */
export class WatchCache implements Disposable {
  readonly #watchers = new Map<string, Set<Watcher>>();
  readonly #subscription: Disposable;

  constructor(storage: Storage) {
    this.#subscription = storage.onChange((change) => this.#dispatch(change));
  }

  /** Number of open watches. */
  get size(): number {
    let size = 0;
    for (const watchers of this.#watchers.values()) size += watchers.size;
    return size;
  }

  watch({ collection, namespace, matches, listener, expire }: WatchStart): Disposable {
    const key = `${collection} ${namespace}`;
    const watcher: Watcher = { matches, listener, expire };
    const watchers = this.#watchers.get(key) ?? new Set();
    this.#watchers.set(key, watchers);
    watchers.add(watcher);
    return {
      [Symbol.dispose]: () => {
        watchers.delete(watcher);
        if (watchers.size === 0 && this.#watchers.get(key) === watchers) this.#watchers.delete(key);
      },
    };
  }

  /** Ends every open watch with an ERROR event 410. */
  expireAll(): void {
    for (const watchers of [...this.#watchers.values()]) for (const { expire } of [...watchers]) expire();
  }

  #dispatch(change: Change): void {
    const namespace = change.key.includes("/") ? change.key.slice(0, change.key.indexOf("/")) : "";
    this.#send(change, this.#watchers.get(`${change.collection} `));
    if (namespace !== "") this.#send(change, this.#watchers.get(`${change.collection} ${namespace}`));
  }

  #send(change: Change, watchers: ReadonlySet<Watcher> | undefined): void {
    if (watchers === undefined) return;
    for (const { matches, listener } of watchers) replay(change, matches, listener);
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
    this.#watchers.clear();
  }
}

/** Tells one change to one watcher, as far as its selector sees it. */
export function replay(
  change: Change,
  matches: (object: KubeObject) => boolean,
  listener: WatchListener,
): void {
  const { previous, current, revision } = change;
  const before = previous !== undefined && matches(previous.object);
  if (current !== undefined && matches(current.object))
    listener(before ? "MODIFIED" : "ADDED", current.object, revision);
  else if (before) listener("DELETED", lastState(change, previous), revision);
}

const lastStates = new WeakMap<Change, KubeObject>();

/** The state before the change with the change's resourceVersion; one object per change, for the frame cache. */
function lastState(change: Change, previous: Stored): KubeObject {
  const existing = lastStates.get(change);
  if (existing !== undefined) return existing;
  const metadata = { ...previous.object.metadata, resourceVersion: String(change.revision) };
  const object = { ...previous.object, metadata };
  lastStates.set(change, object);
  return object;
}
