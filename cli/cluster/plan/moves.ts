import { bucketOf } from "#api/bucket";
import type { StoredLedger } from "#manager/sharding/ledger";
import type { LedgerSpec } from "#manager/snapshot/compile";
import type { MeshSettings } from "../mesh-settings.ts";

/** Atoms that change hands together. */
export interface Move {
  readonly ledger: string;
  /** Empty: nobody has them now. */
  readonly from: string;
  /** Empty: nobody will have them. */
  readonly to: string;
  readonly atoms: readonly string[];
}

/** What differs in the ownership of one namespace's ledgers, by giver and taker. */
export function movesBetween(
  before: readonly StoredLedger[],
  after: readonly StoredLedger[],
  hash: MeshSettings["hash"],
): Move[] {
  const moves = new Map<string, { ledger: string; from: string; to: string; atoms: string[] }>();
  for (const { name, spec: next } of usable(after)) {
    const previous = usable(before).find((each) => each.name === name)?.spec;
    const names = new Set([...(previous?.atoms ?? []), ...next.atoms].map(({ atom }) => atom));
    for (const atom of names) {
      const from = previous === undefined ? "" : ownerOf(previous, atom, hash);
      const to = ownerOf(next, atom, hash);
      if (from === to) continue;
      const key = JSON.stringify([name, from, to]);
      const move = moves.get(key) ?? { ledger: name, from, to, atoms: [] };
      move.atoms.push(atom);
      moves.set(key, move);
    }
  }
  return [...moves.values()];
}

/** Whoever holds an atom or gives it up; a namespace that is no atom goes with its bucket. */
export function ownerOf({ atoms }: LedgerSpec, atom: string, hash: MeshSettings["hash"]): string {
  const own = atoms.find((each) => each.atom === atom);
  if (own !== undefined || !atom.startsWith("namespace/")) return own?.shard ?? "";
  const bucket = `bucket/${bucketOf(atom.slice("namespace/".length), hash)}`;
  return atoms.find((each) => each.atom === bucket)?.shard ?? "";
}

function usable(
  ledgers: readonly StoredLedger[],
): readonly { readonly name: string; readonly spec: LedgerSpec }[] {
  return ledgers.flatMap((ledger) => ("spec" in ledger ? [{ name: ledger.name, spec: ledger.spec }] : []));
}
