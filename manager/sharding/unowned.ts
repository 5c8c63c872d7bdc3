import type { StoredLedger } from "./ledger.ts";

/**
 * Atoms of all groups that no shard holds or is giving up: nobody acts on their objects. A ledger without shards, or
 * one that can't be read, counts nothing: the first has nothing to give, the second says nothing.
 */
export function countUnowned(ledgers: readonly StoredLedger[]): number {
  return ledgers
    .flatMap((ledger) => ("spec" in ledger && ledger.spec.shards.length > 0 ? ledger.spec.atoms : []))
    .filter(({ state }) => state === "Free").length;
}
