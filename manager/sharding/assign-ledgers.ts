import { ledgerNameOf, type ShardGroup } from "./groups.ts";
import type { StoredLedger } from "./ledger.ts";

/** A group with the ledger that is its own, or a ledger whose group is no more. */
export interface LedgerDuty {
  /** Name of the ledger object, which may have to be made. */
  readonly ledgerName: string;
  readonly stored: StoredLedger | undefined;
  /** Undefined: no ShardingConfig of its shards is left. */
  readonly group: ShardGroup | undefined;
  /** Recorded here, with pods or atoms, and in another group by its ShardingConfig. */
  readonly leaving: readonly string[];
  /** Reasons why nothing may be granted by this ledger. */
  readonly blockers: readonly string[];
}

/**
 * Which ledger speaks for which group of one namespace. A group keeps the ledger that records its shards when its
 * name changes, for example because a lock's name is added to its ShardingConfigs: its pods go on. When groups
 * are joined or split, a shard first gives up all that another ledger records of it.
 */
export function assignLedgers(
  groups: readonly ShardGroup[],
  ledgers: readonly StoredLedger[],
): readonly LedgerDuty[] {
  const byName = new Map(ledgers.map((ledger) => [ledger.name, ledger]));
  const assigned = new Map<string, ShardGroup>();
  const named = (group: ShardGroup) => byName.get(ledgerNameOf(group.name));
  for (const group of groups) {
    const own = named(group);
    if (own !== undefined) assigned.set(own.name, group);
  }
  for (const group of groups.filter((each) => named(each) === undefined)) {
    const shards = new Set(group.configs.map(({ metadata }) => metadata.name));
    const inherited = ledgers.find(
      (ledger) => !assigned.has(ledger.name) && recordedShards(ledger).some((shard) => shards.has(shard)),
    );
    assigned.set(inherited?.name ?? ledgerNameOf(group.name), group);
  }
  const names = new Set([...assigned.keys(), ...byName.keys()]);
  return [...names].sort().map((ledgerName) => {
    const group = assigned.get(ledgerName);
    const stored = byName.get(ledgerName);
    const own = new Set(group?.configs.map(({ metadata }) => metadata.name));
    const others = new Set(groups.flatMap(({ configs }) => configs.map(({ metadata }) => metadata.name)));
    const leaving = (stored === undefined ? [] : recordedShards(stored)).filter(
      (shard) => !own.has(shard) && others.has(shard),
    );
    return { ledgerName, stored, group, leaving, blockers: blockersOf(ledgerName, own, ledgers) };
  });
}

function blockersOf(
  ledgerName: string,
  own: ReadonlySet<string>,
  ledgers: readonly StoredLedger[],
): string[] {
  return ledgers
    .filter(({ name }) => name !== ledgerName)
    .flatMap((other) => {
      const shared = recordedShards(other).filter((shard) => own.has(shard));
      return shared.length === 0
        ? []
        : [`waits until ledger ${other.name} has released what it records of ${shared.join(", ")}`];
    });
}

/** Shards with pods or atoms. Of a corrupt ledger nothing is known; it blocks its own group only. */
function recordedShards(ledger: StoredLedger): string[] {
  if (!("spec" in ledger)) return [];
  const owners = new Set(ledger.spec.atoms.map(({ shard }) => shard));
  return ledger.spec.shards
    .filter(({ name, holders }) => holders.length > 0 || owners.has(name))
    .map(({ name }) => name);
}
