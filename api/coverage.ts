import { allBuckets, type Bucket, bucketOf, type HashName, parseBucket } from "./bucket.ts";
import { type Requirement, valueMatches } from "./label-selector.ts";
import type { ShardLabels } from "./names.ts";

/**
 * What selectors over the two shard labels (bucket and namespace) cover, judged over atoms instead of over
 * namespaces, of which there may be any number (`ownership.md` section 1).
 *
 * An atom is a bucket, standing for all its namespaces that no selector of the group names, or one named
 * namespace. No selector of the group can tell two namespaces of one atom apart, so the answers are exact.
 */
export type Atom =
  | { readonly kind: "bucket"; readonly bucket: Bucket }
  | { readonly kind: "namespace"; readonly namespace: string; readonly bucket: Bucket };

/** A selector as its requirements, all of which must hold. */
export type Selector = readonly Requirement[];

const namespaceName = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;

/** "bucket/7" or "namespace/team-a": the name of an atom in the ledger, in status and in messages. */
export function atomName(atom: Atom): string {
  return atom.kind === "bucket" ? `bucket/${atom.bucket}` : `namespace/${atom.namespace}`;
}

/** The atom of a name; undefined for any text that `atomName` does not give. */
export function parseAtom(name: string, hash: HashName): Atom | undefined {
  const slash = name.indexOf("/");
  const [kind, rest] = [name.slice(0, slash), name.slice(slash + 1)];
  if (kind === "namespace") {
    return namespaceName.test(rest)
      ? { kind: "namespace", namespace: rest, bucket: bucketOf(rest, hash) }
      : undefined;
  }
  const bucket = kind === "bucket" ? parseBucket(rest) : undefined;
  return bucket === undefined ? undefined : { kind: "bucket", bucket };
}

/**
 * The atoms of a group: 32 buckets in order, then each namespace that a selector names, whatever the operator,
 * sorted. Values that no namespace can be called make no atom.
 */
export function atomsOf(selectors: readonly Selector[], labels: ShardLabels, hash: HashName): Atom[] {
  const named = new Set<string>();
  for (const { key, values } of selectors.flat()) {
    if (key !== labels.namespace) continue;
    for (const value of values) if (namespaceName.test(value)) named.add(value);
  }
  return [
    ...allBuckets.map((bucket): Atom => ({ kind: "bucket", bucket })),
    ...[...named]
      .sort()
      .map((namespace): Atom => ({ kind: "namespace", namespace, bucket: bucketOf(namespace, hash) })),
  ];
}

/**
 * Names of the atoms whose labelled objects a selector matches as far as the two shard labels tell; its other
 * requirements (see `otherRequirements`) are taken as met, so the result is never too small. `atoms` must be
 * `atomsOf` of a set of selectors that this one is in, else a named namespace would count with its bucket.
 */
export function claims(selector: Selector, atoms: readonly Atom[], labels: ShardLabels): Set<string> {
  const judged = selector.filter((requirement) => isJudged(requirement, labels));
  const claimed = atoms.filter((atom) => judged.every((requirement) => holdsFor(requirement, atom, labels)));
  return new Set(claimed.map(atomName));
}

/** Requirements that atoms cannot judge: on any other label, and comparisons of namespace names as numbers. */
export function otherRequirements(selector: Selector, labels: ShardLabels): Requirement[] {
  return selector.filter((requirement) => !isJudged(requirement, labels));
}

function isJudged({ key, operator }: Requirement, labels: ShardLabels): boolean {
  return key === labels.hash || (key === labels.namespace && operator !== "Gt" && operator !== "Lt");
}

function holdsFor(requirement: Requirement, atom: Atom, labels: ShardLabels): boolean {
  if (requirement.key === labels.hash) return valueMatches(requirement, String(atom.bucket));
  if (atom.kind === "namespace") return valueMatches(requirement, atom.namespace);
  // A namespace of a bucket atom has the label, with a value that stands in no selector of the group.
  return requirement.operator === "NotIn" || requirement.operator === "Exists";
}

/** A shard and the selectors of its limits. It claims an atom that any of them matches. */
export interface Claimant {
  readonly shard: string;
  readonly selectors: readonly Selector[];
}

export interface Overlap {
  readonly atom: string;
  /** Two or more, in the given order. */
  readonly shards: readonly string[];
}

/**
 * Atoms that several shards claim, and atoms that none claims, in the order of `atomsOf`. For findings per
 * resource, hand in for each shard the one selector that applies to that resource.
 */
export function overlapsAndGaps(
  claimants: readonly Claimant[],
  labels: ShardLabels,
  hash: HashName,
): { readonly overlaps: readonly Overlap[]; readonly gaps: readonly string[] } {
  const atoms = atomsOf(
    claimants.flatMap(({ selectors }) => selectors),
    labels,
    hash,
  );
  const claimed = claimants.map(({ shard, selectors }) => ({
    shard,
    atoms: new Set(selectors.flatMap((selector) => [...claims(selector, atoms, labels)])),
  }));
  const overlaps: Overlap[] = [];
  const gaps: string[] = [];
  for (const atom of atoms.map(atomName)) {
    const shards = claimed.filter(({ atoms: own }) => own.has(atom)).map(({ shard }) => shard);
    if (shards.length > 1) overlaps.push({ atom, shards });
    if (shards.length === 0) gaps.push(atom);
  }
  return { overlaps, gaps };
}
