import { create, toBinary } from "@bufbuild/protobuf";
import { type Atom, atomName, parseAtom } from "#api/coverage";
import { CtrlmeshError } from "#api/errors";
import { Grant, HashFunction, type Snapshot, SnapshotSchema } from "#api/gen/ctrlmesh/v1/control_pb";
import { parseSelector, printSelector } from "#api/label-selector";
import type { ShardLabels } from "#api/names";
import type { LedgerHolder, LedgerShard, OwnershipLedger } from "#api/ownership-ledger";
import { restrictView } from "./view.ts";

export type LedgerSpec = OwnershipLedger["spec"];

/** A pod as far as its snapshot depends on it. */
export interface SnapshotSubject {
  readonly uid: string;
  readonly namespace: string;
  /** Fixed for the life of the pod. */
  readonly shard: string;
}

export interface CompileSettings {
  readonly labels: ShardLabels;
  /** Neither labelled nor sharded. */
  readonly exemptNamespaces: readonly string[];
}

/**
 * The snapshot of one pod, without its id. A pod that the ledger does not name as a holder is granted nothing,
 * whatever the specs say, and `reason` tells it why.
 */
export function compileSnapshot(
  ledger: LedgerSpec,
  subject: SnapshotSubject,
  settings: CompileSettings,
  reason: string,
): Snapshot {
  const shard = ledger.shards.find(({ name }) => name === subject.shard);
  const holder = shard?.holders.find(({ uid }) => uid === subject.uid);
  if (shard === undefined || holder === undefined) return refusalSnapshot(subject, ledger, reason);
  const { limits, unfilteredResources } = viewInForce(shard, holder);
  const seen = seenAtoms(ledger, shard, holder);
  if (shard.withdrawn === true || limits.length === 0 || seen.size === 0)
    return refusalSnapshot(subject, ledger, reason);
  const atoms = atomsOfLedger(ledger);
  return create(SnapshotSchema, {
    shard: subject.shard,
    grant: Grant.GRANTED,
    limits: limits.map(({ groups, resources, selector }) => {
      const view = restrictView(parseSelector(selector), { atoms, seen, labels: settings.labels });
      return { groups: [...groups], resources: [...resources], selector: printSelector(view.selector) };
    }),
    unfilteredResources: unfilteredResources.map(({ group, resource }) => ({ group, resource })),
    unfilteredNamespaces: [...new Set([subject.namespace, ...settings.exemptNamespaces])].sort(),
    fence: fenceOf(ledger, shard, holder),
    hash: hashFunctionOf(ledger.hash),
    epoch: BigInt(ledger.epoch),
  });
}

/** A snapshot that grants nothing: every request of the operator is answered with 429 and the reason. */
export function refusalSnapshot(
  subject: SnapshotSubject,
  ledger: Pick<LedgerSpec, "hash" | "epoch">,
  reason: string,
): Snapshot {
  return create(SnapshotSchema, {
    shard: subject.shard,
    grant: Grant.NOT_GRANTED,
    grantReason: reason,
    hash: hashFunctionOf(ledger.hash),
    epoch: BigInt(ledger.epoch),
  });
}

/** Equal for snapshots that mean the same: the id and the epoch, which only number them, are left out. */
export function contentKey(snapshot: Snapshot): string {
  const { id: _id, ...content } = snapshot;
  const bytes = toBinary(SnapshotSchema, create(SnapshotSchema, { ...content, epoch: 0n }));
  return Buffer.from(bytes).toString("base64");
}

/**
 * Names of the atoms that a holder may see: what the shard holds, and, with `onLoss: Restart`, what was taken
 * from this very pod and is not released: its operator would take vanished objects for deleted ones.
 */
export function seenAtoms(
  { atoms }: Pick<LedgerSpec, "atoms">,
  shard: LedgerShard,
  holder: LedgerHolder | undefined,
): Set<string> {
  const lost = new Set(holder?.lost ?? []);
  const seen = atoms.filter(
    (atom) =>
      atom.shard === shard.name &&
      (atom.state === "Held" ||
        (atom.state === "Revoking" && shard.onLoss === "Restart" && lost.has(atom.atom))),
  );
  return new Set(seen.map(({ atom }) => atom));
}

/** @throws LEDGER_CORRUPT for a name that stands for no atom */
export function atomsOfLedger({ atoms, hash }: Pick<LedgerSpec, "atoms" | "hash">): Atom[] {
  return atoms.map(({ atom: name }) => {
    const atom = parseAtom(name, hash);
    if (atom === undefined) throw new CtrlmeshError("LEDGER_CORRUPT", { what: `"${name}" is no atom` });
    return atom;
  });
}

function viewInForce(
  shard: LedgerShard,
  { prior }: LedgerHolder,
): Pick<LedgerShard, "limits" | "unfilteredResources"> {
  return prior === true && shard.prior !== undefined ? shard.prior : shard;
}

function fenceOf(ledger: LedgerSpec, shard: LedgerShard, { lost = [] }: LedgerHolder) {
  if (lost.length === 0) return undefined;
  const atoms = lost.flatMap((name) => parseAtom(name, ledger.hash) ?? []);
  const buckets = atoms.flatMap((atom) => (atom.kind === "bucket" ? [atom.bucket] : []));
  const held = seenAtoms(ledger, shard, undefined);
  const kept = atomsOfLedger(ledger).flatMap((atom) =>
    atom.kind === "namespace" && held.has(atomName(atom)) && buckets.includes(atom.bucket)
      ? [atom.namespace]
      : [],
  );
  return {
    buckets: buckets.sort((a, b) => a - b),
    namespaces: atoms.flatMap((atom) => (atom.kind === "namespace" ? [atom.namespace] : [])).sort(),
    exceptNamespaces: kept.sort(),
  };
}

export function hashFunctionOf(hash: LedgerSpec["hash"]): HashFunction {
  return hash === "murmur3" ? HashFunction.MURMUR3 : HashFunction.ADDITIVE;
}
