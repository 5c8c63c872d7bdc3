import { OwnerTally } from "../owner-tally.ts";

/** The demo's proof, computed from what the operators wrote down; nothing of our own parts is asked. */

/** What one operator pod wrote down about its cache. */
export interface OperatorRecord {
  readonly pod: string;
  /** When the operator process started, RFC 3339. */
  readonly startedAt: string;
  /** When it wrote the record, RFC 3339. */
  readonly writtenAt: string;
  /** Objects in its cache: "namespace/name". */
  readonly sources: readonly string[];
}

export interface Proof {
  /** Every object is in exactly one operator's cache, and no cache holds anything else. */
  readonly exactlyOneOwner: boolean;
  readonly objects: number;
  readonly unowned: readonly string[];
  /** Objects in more than one cache. */
  readonly shared: readonly string[];
  /** In a cache, but not among the objects. */
  readonly unknown: readonly string[];
  /** Object to the pod that alone has it. */
  readonly owners: ReadonlyMap<string, string>;
}

/** Judges one phase: `objects` are all source objects that exist. */
export function prove(objects: readonly string[], records: readonly OperatorRecord[]): Proof {
  const seenBy = new Map<string, string[]>(objects.map((name) => [name, []]));
  const unknown: string[] = [];
  for (const { pod, sources } of records) {
    for (const name of sources) {
      const pods = seenBy.get(name);
      if (pods === undefined) unknown.push(name);
      else pods.push(pod);
    }
  }
  const tally = new OwnerTally(Number.POSITIVE_INFINITY);
  const owners = new Map<string, string>();
  for (const [name, pods] of seenBy) {
    tally.add(name, pods);
    const [pod] = pods;
    if (pod !== undefined && pods.length === 1) owners.set(name, pod);
  }
  return {
    exactlyOneOwner: objects.length > 0 && tally.isExact && unknown.length === 0,
    objects: objects.length,
    unowned: tally.unowned.examples,
    shared: tally.shared.examples,
    unknown,
    owners,
  };
}

/** How many objects have another owner in `after` than in `before`, and how many the same. */
export function compareOwners(before: Proof, after: Proof): { moved: number; kept: number } {
  let moved = 0;
  let kept = 0;
  for (const [name, pod] of before.owners) {
    const next = after.owners.get(name);
    if (next === pod) kept++;
    else if (next !== undefined) moved++;
  }
  return { moved, kept };
}
