import assert from "node:assert/strict";
import type { KubernetesObject } from "#api/meta";
import type { LedgerAtom, OwnershipLedger } from "#api/ownership-ledger";
import { type ReflectorSink, reflect } from "#kube/client/reflector";
import { systemClock } from "#runtime/clock";
import { silentLog } from "#runtime/log";
import { type OperatorRecord, operatorNamespace, parseRecord, recordLabel } from "./digest-operators.ts";
import { kinds, type Mesh } from "./mesh.ts";

type LedgerSpec = OwnershipLedger["spec"];

/**
 * Follows every version of the ledgers and of the operators' records from the API server, and says afterwards what
 * was wrong at any moment. Nothing of our own parts is asked but the ledger itself.
 */
export class OwnershipJudge implements AsyncDisposable {
  readonly ledgers: LedgerSpec[] = [];
  readonly records: OperatorRecord[] = [];
  readonly #mesh: Mesh;
  readonly #controller = new AbortController();
  readonly #following: Promise<unknown>;

  constructor(mesh: Mesh) {
    this.#mesh = mesh;
    const deps = {
      clock: systemClock,
      log: silentLog,
      random: Math.random,
      signal: this.#controller.signal,
    };
    const namespace = operatorNamespace;
    // Each version was written by the manager through its own parser.
    const ledgers = follow((object) => this.ledgers.push(object.spec as LedgerSpec));
    const records = follow((object) => this.records.push(parseRecord(object)));
    this.#following = Promise.all([
      reflect(mesh.client, { kind: kinds.ledgers, namespace }, ledgers, deps),
      reflect(mesh.client, { kind: kinds.configMaps, namespace, labelSelector: recordLabel }, records, deps),
    ]);
  }

  /** Terms and epochs only grow, and no atom goes from one shard to another while the first one holds it. */
  ledgerFaults(): readonly string[] {
    const faults: string[] = [];
    const before = new Map<string, { term: number; epoch: number; atoms: Map<string, LedgerAtom> }>();
    for (const { group, term, epoch, atoms } of this.ledgers) {
      const last = before.get(group);
      if (last !== undefined) {
        if (term < last.term) faults.push(`term of ${group} fell from ${last.term} to ${term}`);
        if (epoch < last.epoch) faults.push(`epoch of ${group} fell from ${last.epoch} to ${epoch}`);
        for (const atom of atoms) faults.push(...atomFaults(last.atoms.get(atom.atom), atom));
      }
      before.set(group, { term, epoch, atoms: new Map(atoms.map((atom) => [atom.atom, atom])) });
    }
    return faults;
  }

  /** An object that was in the cache of one pod between two records of another process that both name it. */
  recordFaults(): readonly string[] {
    const faults: string[] = [];
    const byTime = [...this.records].sort((a, b) => (a.writtenAt < b.writtenAt ? -1 : 1));
    const last = new Map<string, OperatorRecord>();
    for (const record of byTime) {
      const previous = last.get(record.pod);
      last.set(record.pod, record);
      if (previous?.startedAt !== record.startedAt) continue;
      const between = byTime.filter(
        ({ pod, writtenAt }) =>
          pod !== record.pod && writtenAt > previous.writtenAt && writtenAt < record.writtenAt,
      );
      const kept = new Set(record.sources.filter((source) => previous.sources.includes(source)));
      for (const { pod, writtenAt, sources } of between) {
        for (const source of sources.filter((each) => kept.has(each))) {
          faults.push(`${source} was in the caches of ${record.pod} and ${pod} at ${writtenAt}`);
        }
      }
    }
    return faults;
  }

  /**
   * With `onLoss: Restart` a pod that another one has followed as a writer in a namespace never writes there again:
   * what comes back to its shard comes back to another pod, or to one that has not written there.
   */
  writeFaults(namespaces: readonly string[]): readonly string[] {
    const faults: string[] = [];
    for (const namespace of namespaces) {
      const ended = new Set<string>();
      let writer = "";
      for (const { verb, podUid, status, ...request } of this.#mesh.requests) {
        const isWrite = ["create", "update", "patch", "delete"].includes(verb) && status < 300;
        if (!isWrite || podUid === "" || request.namespace !== namespace) continue;
        if (!/-digest$/.test(request.name) && verb !== "create") continue;
        if (ended.has(podUid)) faults.push(`pod ${podUid} wrote in ${namespace} after another had`);
        if (writer !== "" && writer !== podUid) ended.add(writer);
        writer = podUid;
      }
    }
    return faults;
  }

  /** Fails when anything was wrong at any moment so far. */
  assertOneOwner(namespaces: readonly string[] = []): void {
    assert.ok(this.ledgers.length > 0, "the judge has seen a ledger");
    assert.ok(this.records.length > 0, "the judge has seen records");
    assert.deepEqual([...this.ledgerFaults(), ...this.recordFaults(), ...this.writeFaults(namespaces)], []);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#controller.abort();
    await this.#following;
  }
}

function atomFaults(before: LedgerAtom | undefined, { atom, shard, state, epoch }: LedgerAtom): string[] {
  if (before === undefined) return [];
  const faults: string[] = [];
  if (epoch < before.epoch) faults.push(`epoch of ${atom} fell from ${before.epoch} to ${epoch}`);
  if (state !== "Held") return faults;
  const isHandedOn = before.shard !== shard;
  if (isHandedOn && before.state === "Held")
    faults.push(`${atom} went from ${before.shard} to ${shard} at once`);
  if (isHandedOn && epoch <= before.epoch) faults.push(`${atom} was granted to ${shard} without an epoch`);
  return faults;
}

function follow(seen: (object: KubernetesObject) => void): ReflectorSink {
  return {
    replace: (objects) => objects.forEach(seen),
    apply: ({ type, object }) => {
      if (type !== "DELETED") seen(object);
    },
  };
}
