import type { Gauge } from "#runtime/metrics";
import type { LedgerSpec } from "../snapshot/compile.ts";
import type { GroupPlan } from "./plan.ts";

/** A group as its last step left it. */
interface SteppedGroup {
  readonly ledger: Pick<LedgerSpec, "atoms">;
  readonly plan: { readonly shards: readonly Pick<GroupPlan["shards"][number], "claims">[] };
}

/** Sums up over all namespaces how many atoms nobody owns. */
export class UnownedAtoms {
  readonly #gauge: Pick<Gauge, "set">;
  readonly #counts = new Map<string, number>();

  constructor(gauge: Pick<Gauge, "set">) {
    this.#gauge = gauge;
  }

  /** Takes in what a round over a namespace left. */
  saw(namespace: string, groups: readonly SteppedGroup[]): void {
    this.#counts.set(
      namespace,
      groups.reduce((sum, group) => sum + countUnowned(group), 0),
    );
    this.#gauge.set([...this.#counts.values()].reduce((sum, count) => sum + count, 0));
  }
}

/**
 * Free atoms whose objects somebody relies on: those that a shard claims and was not given, and in a group that divides
 * buckets all of these. A group that names namespaces only means those and no others.
 */
export function countUnowned({ ledger, plan }: SteppedGroup): number {
  const claimed = new Set(plan.shards.flatMap(({ claims }) => [...claims]));
  const isBucket = (atom: string): boolean => atom.startsWith("bucket/");
  const dividesBuckets = [...claimed].some(isBucket);
  return ledger.atoms.filter(
    ({ atom, state }) => state === "Free" && (claimed.has(atom) || (dividesBuckets && isBucket(atom))),
  ).length;
}
