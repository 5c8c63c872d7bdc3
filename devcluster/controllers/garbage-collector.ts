import type { Log } from "#runtime/log";
import type { KubeObject } from "../kube-object.ts";
import { deleteObject } from "../rest/delete.ts";
import type { ServerState } from "../server-state.ts";
import { StatusError } from "../status-error.ts";
import type { Change, Stored } from "../storage.ts";
import { ownWrite } from "./namespace-controller.ts";

interface Place {
  readonly collection: string;
  readonly key: string;
}

/**
 * Deletes objects whose owners are all gone, and does what the finalizers `foregroundDeletion` (dependents that block
 * the owner go first) and `orphan` (dependents forget the owner) ask for. One level at a time: what it deletes
 * is told again.
 */
export function startGarbageCollector(state: ServerState, log: Log, signal: AbortSignal): Disposable {
  const collector = new GarbageCollector(state, signal);
  let running: Promise<void> = Promise.resolve();
  const onChange = (change: Change): void => {
    collector.index(change);
    if (!collector.concerns(change)) return;
    running = running
      .then(() => collector.settle(change))
      .catch((error: unknown) => {
        if (!signal.aborted) log.error("garbage collection failed", { error });
      });
  };
  return state.storage.onChange(onChange);
}

class GarbageCollector {
  readonly #state: ServerState;
  readonly #signal: AbortSignal;
  /** Dependents by the UID of their owner. */
  readonly #dependents = new Map<string, Map<string, Place>>();
  /** Where each object is, by its UID. */
  readonly #places = new Map<string, Place>();

  constructor(state: ServerState, signal: AbortSignal) {
    this.#state = state;
    this.#signal = signal;
  }

  index({ collection, key, previous, current }: Change): void {
    const place = `${collection} ${key}`;
    for (const uid of ownersOf(previous)) this.#dependents.get(uid)?.delete(place);
    for (const uid of ownersOf(current)) {
      const places = this.#dependents.get(uid) ?? new Map<string, Place>();
      places.set(place, { collection, key });
      this.#dependents.set(uid, places);
    }
    const before = previous?.object.metadata.uid;
    const now = current?.object.metadata.uid;
    if (before !== undefined && before !== now) this.#places.delete(before);
    if (now !== undefined) this.#places.set(now, { collection, key });
  }

  concerns({ previous, current }: Change): boolean {
    const { metadata } = (current ?? previous)?.object ?? {};
    if (metadata === undefined) return false;
    return (
      ownersOf(current).length > 0 ||
      (current === undefined && this.#dependents.has(metadata.uid ?? "")) ||
      (metadata.deletionTimestamp !== undefined && (metadata.finalizers ?? []).length > 0) ||
      (current === undefined && ownersOf(previous).length > 0)
    );
  }

  async settle(change: Change): Promise<void> {
    const { previous, current } = change;
    if (this.#signal.aborted) return;
    if (current === undefined) {
      const uid = previous?.object.metadata.uid ?? "";
      for (const place of [...(this.#dependents.get(uid)?.values() ?? [])]) await this.#collect(place);
      if (this.#dependents.get(uid)?.size === 0) this.#dependents.delete(uid);
      for (const owner of ownersOf(previous)) await this.#finishOwner(owner);
      return;
    }
    await this.#collect(change);
    await this.#finalize(change);
  }

  /** Deletes an object with owners when none of them exists. */
  async #collect({ collection, key }: Place): Promise<void> {
    const stored = this.#state.storage.get(collection, key);
    if (stored === undefined || stored.object.metadata.deletionTimestamp !== undefined) return;
    const owners = ownersOf(stored);
    if (owners.length === 0 || owners.some((uid) => this.#places.has(uid))) return;
    await this.#delete(collection, stored, "Background");
  }

  async #finalize({ collection, key }: Place): Promise<void> {
    const stored = this.#state.storage.get(collection, key);
    const { metadata } = stored?.object ?? {};
    if (stored === undefined || metadata?.deletionTimestamp === undefined) return;
    const places = [...(this.#dependents.get(metadata.uid ?? "")?.values() ?? [])];
    if (metadata.finalizers?.includes("orphan")) {
      for (const place of places) this.#orphan(place, metadata.uid ?? "");
      this.#removeFinalizer({ collection, key }, "orphan");
    } else if (metadata.finalizers?.includes("foregroundDeletion")) {
      let blocking = 0;
      for (const place of places) {
        const dependent = this.#state.storage.get(place.collection, place.key);
        if (dependent === undefined) continue;
        if (dependent.object.metadata.deletionTimestamp === undefined)
          await this.#delete(place.collection, dependent, "Foreground");
        const rest = this.#state.storage.get(place.collection, place.key);
        if (rest !== undefined && isBlocking(rest.object, metadata.uid ?? "")) blocking++;
      }
      if (blocking === 0) this.#removeFinalizer({ collection, key }, "foregroundDeletion");
    }
  }

  /** An owner that goes last may be able to go now. */
  async #finishOwner(uid: string): Promise<void> {
    const place = this.#places.get(uid);
    if (place !== undefined) await this.#finalize(place);
  }

  async #delete(
    collection: string,
    { object }: Stored,
    propagation: "Background" | "Foreground",
  ): Promise<void> {
    const definition = this.#state.registry.byCollection().get(collection);
    if (definition === undefined) return;
    const { name = "", namespace = "", uid = "" } = object.metadata;
    const request = ownWrite(definition, namespace, name, this.#signal);
    try {
      const options = { gracePeriodSeconds: undefined, uid, resourceVersion: "", propagation, dryRun: false };
      await deleteObject(this.#state, request, options);
    } catch (error) {
      if (!(error instanceof StatusError)) throw error;
    }
  }

  #orphan({ collection, key }: Place, uid: string): void {
    const stored = this.#state.storage.get(collection, key);
    if (stored === undefined) return;
    const { ownerReferences = [], ...metadata } = stored.object.metadata;
    const rest = ownerReferences.filter((owner) => owner.uid !== uid);
    const next = {
      ...stored.object,
      metadata: rest.length === 0 ? metadata : { ...metadata, ownerReferences: rest },
    };
    this.#state.storage.update(collection, key, next, stored.revision);
  }

  #removeFinalizer({ collection, key }: Place, finalizer: string): void {
    const stored = this.#state.storage.get(collection, key);
    if (stored === undefined) return;
    const finalizers = (stored.object.metadata.finalizers ?? []).filter((each) => each !== finalizer);
    if (finalizers.length === 0) {
      this.#state.storage.delete(collection, key, stored.revision);
      return;
    }
    const next = { ...stored.object, metadata: { ...stored.object.metadata, finalizers } };
    this.#state.storage.update(collection, key, next, stored.revision);
  }
}

function ownersOf(stored: Stored | undefined): string[] {
  return (stored?.object.metadata.ownerReferences ?? []).map((owner) => owner.uid);
}

function isBlocking({ metadata }: KubeObject, uid: string): boolean {
  return (metadata.ownerReferences ?? []).some(
    (owner) => owner.uid === uid && owner.blockOwnerDeletion === true,
  );
}
