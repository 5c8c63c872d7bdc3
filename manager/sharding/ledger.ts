import { atomName } from "#api/coverage";
import { CtrlmeshError, toCtrlmeshError } from "#api/errors";
import type { KubernetesObject } from "#api/meta";
import { finalizer, group } from "#api/names";
import { type OwnershipLedger, parseOwnershipLedger } from "#api/ownership-ledger";
import { isApiError } from "#kube/client/api-error";
import type { KubeClient, ResourceKind } from "#kube/client/client";
import { listAll } from "#kube/client/list-all";
import type { Log } from "#runtime/log";
import { atomsOfLedger, type LedgerSpec } from "../snapshot/compile.ts";
import { selectorsOf } from "./shard-limits.ts";

export const ledgerKind: ResourceKind = {
  group,
  version: "v1alpha1",
  resource: "ownershipledgers",
  namespaced: true,
};

/** A ledger as it is stored, or why it cannot be used. Nothing is ever granted by a corrupt one. */
export type StoredLedger = {
  readonly namespace: string;
  readonly name: string;
  /** A user asked for its deletion. It stays, by its finalizer, until nothing is recorded in it. */
  readonly isDeleting: boolean;
} & ({ readonly spec: LedgerSpec } | { readonly corrupt: CtrlmeshError });

export interface LedgerStoreDeps {
  readonly client: KubeClient;
  readonly log: Log;
  /** Number of our leadership. */
  readonly term: () => number;
}

const takeOverParallel = 8;

/**
 * The ownership ledgers of all namespaces, as this leadership last read or wrote them. The leader is the only
 * writer; every write is a compare-and-swap on the resourceVersion, and one that finds a higher term ends the
 * leadership: another leader has taken over while this one stood still.
 */
export class LedgerStore {
  readonly #deps: LedgerStoreDeps;
  readonly #stored = new Map<string, { readonly object: KubernetesObject; readonly ledger: StoredLedger }>();

  constructor(deps: LedgerStoreDeps) {
    this.#deps = deps;
  }

  /**
   * Reads all ledgers and writes our term into each, so that whatever a former leader still has under way fails.
   * To be called before anything is decided, and again when the term was raised.
   *
   * @throws LEADERSHIP_LOST; CtrlmeshError of the API client
   */
  async takeOver(signal: AbortSignal): Promise<void> {
    const { objects } = await listAll(this.#deps.client, ledgerKind, {}, { signal });
    this.#stored.clear();
    const waiting = objects.map((object) => this.#keep(object));
    const work = async () => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift())
        await this.#claim(next, signal);
    };
    await Promise.all(Array.from({ length: takeOverParallel }, work));
  }

  ofNamespace(namespace: string): readonly StoredLedger[] {
    return this.all().filter((ledger) => ledger.namespace === namespace);
  }

  all(): readonly StoredLedger[] {
    return [...this.#stored.values()].map(({ ledger }) => ledger);
  }

  /**
   * Stores the next state of a ledger, or its first one. After LEDGER_CONFLICT the copy is fresh: compute again.
   *
   * @throws LEDGER_CONFLICT, LEADERSHIP_LOST; CtrlmeshError of the API client
   */
  async save(
    { namespace, name }: Pick<StoredLedger, "namespace" | "name">,
    spec: LedgerSpec,
    signal: AbortSignal,
  ): Promise<void> {
    const known = this.#stored.get(keyOf(namespace, name))?.object;
    const next = {
      apiVersion: `${ledgerKind.group}/${ledgerKind.version}`,
      kind: "OwnershipLedger",
      metadata: known?.metadata ?? { namespace, name, finalizers: [finalizer] },
      spec: { ...spec, term: this.#deps.term() },
    };
    const { client } = this.#deps;
    try {
      if (known === undefined) this.#keep(await client.create(ledgerKind, next, { signal }));
      else this.#keep(await client.update(ledgerKind, next, { signal }));
    } catch (thrown) {
      if (known !== undefined && isApiError(thrown, "API_NOT_FOUND")) {
        await this.#restore({ namespace, name }, next, signal);
      } else throw await this.#afterFailure(thrown, { namespace, name }, signal);
    }
  }

  /** Somebody removed a ledger past its finalizer. Pods live by what it said, and we know what that was. */
  async #restore(
    place: Pick<StoredLedger, "namespace" | "name">,
    object: KubernetesObject,
    signal: AbortSignal,
  ): Promise<void> {
    this.#deps.log.warn("ledger was removed by another hand and is written again", { ...place });
    const metadata = { ...place, finalizers: [finalizer] };
    try {
      this.#keep(await this.#deps.client.create(ledgerKind, { ...object, metadata }, { signal }));
    } catch (thrown) {
      throw await this.#afterFailure(thrown, place, signal);
    }
  }

  /**
   * Removes a ledger in which nothing is recorded any more.
   *
   * @throws LEDGER_CONFLICT, LEADERSHIP_LOST; CtrlmeshError of the API client
   */
  async remove(
    { namespace, name }: Pick<StoredLedger, "namespace" | "name">,
    signal: AbortSignal,
  ): Promise<void> {
    const known = this.#stored.get(keyOf(namespace, name));
    if (known === undefined) return;
    const { client } = this.#deps;
    try {
      const { metadata = {} } = known.object;
      const finalizers = (metadata.finalizers ?? []).filter((each) => each !== finalizer);
      if (metadata.deletionTimestamp === undefined) {
        await client.delete(ledgerKind, { namespace, name }, { signal, ...uidOf(known.object) });
      }
      // Read again: the deletion has changed the resourceVersion.
      if ((await this.reload({ namespace, name }, signal)) !== undefined) {
        const object = this.#stored.get(keyOf(namespace, name))?.object ?? known.object;
        const next = { ...object, metadata: { ...object.metadata, finalizers } };
        await client.update(ledgerKind, next, { signal });
      }
      this.#stored.delete(keyOf(namespace, name));
    } catch (thrown) {
      if (isApiError(thrown, "API_NOT_FOUND")) this.#stored.delete(keyOf(namespace, name));
      else throw await this.#afterFailure(thrown, { namespace, name }, signal);
    }
  }

  /** Reads one ledger again; undefined when there is none. @throws LEADERSHIP_LOST; CtrlmeshError of the client */
  async reload(
    { namespace, name }: Pick<StoredLedger, "namespace" | "name">,
    signal: AbortSignal,
  ): Promise<StoredLedger | undefined> {
    try {
      const ledger = this.#keep(await this.#deps.client.get(ledgerKind, { namespace, name }, { signal }));
      if ("spec" in ledger && ledger.spec.term > this.#deps.term()) throw leadershipLost(ledger.spec.term);
      return ledger;
    } catch (thrown) {
      if (!isApiError(thrown, "API_NOT_FOUND")) throw thrown;
      // What we know of one that vanished is what pods live by: the next write brings it back.
      const known = this.#stored.get(keyOf(namespace, name));
      if (known !== undefined && "corrupt" in known.ledger) this.#stored.delete(keyOf(namespace, name));
      return undefined;
    }
  }

  async #claim(ledger: StoredLedger, signal: AbortSignal): Promise<void> {
    let present: StoredLedger | undefined = ledger;
    while (present !== undefined && "spec" in present) {
      const term = this.#deps.term();
      if (present.spec.term > term) throw leadershipLost(present.spec.term);
      if (present.spec.term === term) return;
      try {
        await this.save(present, present.spec, signal);
        return;
      } catch (thrown) {
        if (!isApiError(thrown, "LEDGER_CONFLICT")) throw thrown;
        const { namespace, name }: StoredLedger = present;
        present = this.#stored.get(keyOf(namespace, name))?.ledger;
      }
    }
  }

  #keep(object: KubernetesObject): StoredLedger {
    const { namespace = "", name = "" } = object.metadata ?? {};
    const ledger = readLedger(object);
    if ("corrupt" in ledger) {
      const { corrupt: error } = ledger;
      this.#deps.log.error("ledger is not usable, nothing is granted by it", { namespace, error });
    }
    this.#stored.set(keyOf(namespace, name), { object, ledger });
    return ledger;
  }

  /** Reads again what was not as we thought. The error to throw. */
  async #afterFailure(
    thrown: unknown,
    place: Pick<StoredLedger, "namespace" | "name">,
    signal: AbortSignal,
  ): Promise<unknown> {
    const isStale = isApiError(thrown, "API_CONFLICT") || isApiError(thrown, "API_NOT_FOUND");
    if (!isStale) return thrown;
    await this.reload(place, signal);
    return new CtrlmeshError("LEDGER_CONFLICT", {
      where: `OwnershipLedger ${place.namespace}/${place.name}`,
      what: "it is not as it was when the step was computed",
      cause: thrown,
    });
  }
}

/** Reads a stored ledger, whatever is in it. */
export function readLedger(object: KubernetesObject): StoredLedger {
  const { namespace = "", name = "", deletionTimestamp } = object.metadata ?? {};
  const place = { namespace, name, isDeleting: deletionTimestamp !== undefined };
  try {
    return { ...place, spec: checkLedger(parseOwnershipLedger(object)).spec };
  } catch (thrown) {
    const cause = toCtrlmeshError(thrown);
    const error = new CtrlmeshError("LEDGER_CORRUPT", {
      where: `OwnershipLedger ${namespace}/${name}`,
      what: cause.message,
      hint: "correct it by hand; if no pod of its shards runs any more, delete it",
      cause,
    });
    return { ...place, corrupt: error };
  }
}

/**
 * Holds a ledger to what its schema cannot say: all buckets are there, every owner is entered, a pod stands in one
 * shard, epochs are in order, selectors parse.
 *
 * @throws LEDGER_CORRUPT
 */
export function checkLedger(ledger: OwnershipLedger): OwnershipLedger {
  const { spec } = ledger;
  const names = new Set(atomsOfLedger(spec).map(atomName));
  const buckets = [...names].filter((name) => name.startsWith("bucket/")).length;
  if (names.size > 0 && buckets !== 32) throw corrupt("spec.atoms", `has ${buckets} of 32 buckets`);
  const shards = new Set(spec.shards.map(({ name }) => name));
  for (const { atom, shard, epoch } of spec.atoms) {
    if (shard !== "" && !shards.has(shard))
      throw corrupt("spec.atoms", `${atom} is of the unknown shard ${shard}`);
    if (epoch > spec.epoch) throw corrupt("spec.atoms", `${atom} has an epoch above the group's`);
  }
  const pods = new Set<string>();
  for (const shard of spec.shards) {
    selectorsOf([...shard.limits, ...(shard.prior?.limits ?? [])]);
    for (const { uid, lost = [] } of shard.holders) {
      if (pods.has(uid)) throw corrupt("spec.shards", `pod ${uid} is in two shards`);
      pods.add(uid);
      const stray = lost.find((name) => !names.has(name));
      if (stray !== undefined)
        throw corrupt("spec.shards", `pod ${uid} lost ${stray}, which is no atom here`);
    }
  }
  return ledger;
}

function corrupt(where: string, what: string): CtrlmeshError {
  return new CtrlmeshError("LEDGER_CORRUPT", { where, what });
}

function leadershipLost(term: number): CtrlmeshError {
  return new CtrlmeshError("LEADERSHIP_LOST", {
    what: `a ledger has been written in term ${term}, after ours`,
  });
}

function uidOf({ metadata }: KubernetesObject): { readonly uid?: string } {
  return metadata?.uid === undefined ? {} : { uid: metadata.uid };
}

function keyOf(namespace: string, name: string): string {
  return `${namespace}/${name}`;
}
