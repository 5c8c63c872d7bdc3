import { createHash } from "node:crypto";
import type { HashName } from "#api/bucket";
import { bucketCount, bucketOf } from "#api/bucket";
import { CtrlmeshError } from "#api/errors";
import {
  Grant,
  type GroupResource,
  HashFunction,
  type Limit,
  type Snapshot,
} from "#api/gen/ctrlmesh/v1/control_pb";
import { parseSelector, printSelector, type Requirement } from "#api/label-selector";

/** Orders snapshots: by term, then by revision. */
export interface SnapshotId {
  readonly term: bigint;
  readonly revision: bigint;
}

/** What a limited resource's lists, watches and deletecollections are restricted to. */
export interface CompiledLimit {
  /** Text form, as it goes into the query before escaping. */
  readonly selector: string;
  /** The same, escaped for a query. */
  readonly escapedSelector: string;
  readonly requirements: readonly Requirement[];
}

/** One snapshot, checked and indexed. Immutable; swapped whole. */
export interface CompiledSnapshot {
  readonly id: SnapshotId;
  readonly shard: string;
  readonly granted: boolean;
  readonly grantReason: string;
  /** Grows with each grant or revoke of the shard's group. */
  readonly epoch: bigint;
  readonly hash: HashName;
  /** Whether any namespace is fenced. */
  readonly hasFence: boolean;
  /** Names what it shows: the same for two snapshots only if all that counts for lists and watches is the same. */
  readonly view: string;
  limitFor(group: string, resource: string): CompiledLimit | undefined;
  /** Own and exempt namespaces: neither filtered nor fenced. */
  isUnfilteredNamespace(namespace: string): boolean;
  isFenced(namespace: string): boolean;
}

/** Negative when the left one is older, 0 when they are the same. */
export function compareSnapshotIds(left: SnapshotId, right: SnapshotId): number {
  if (left.term !== right.term) return left.term < right.term ? -1 : 1;
  if (left.revision !== right.revision) return left.revision < right.revision ? -1 : 1;
  return 0;
}

/**
 * Checks a snapshot as it came off the wire or the disk and indexes it. Nothing of it is taken over when
 * anything is wrong: a rule that is left out could be the one that protects.
 *
 * @throws SNAPSHOT_UNKNOWN_FIELD when a field, at any depth, is not known to this version
 * @throws SNAPSHOT_INVALID with the field and the reason
 */
export function compileSnapshot(message: Snapshot): CompiledSnapshot {
  refuseUnknownFields(message, "snapshot");
  const { id, fence } = message;
  if (id === undefined) throw invalid("id", "is missing");
  if (id.term === 0n && id.revision === 0n) throw invalid("id", "is zero");
  if (message.shard === "") throw invalid("shard", "is empty");
  const granted = grantOf(message.grant);
  const hash = hashOf(message.hash);
  const limits = message.limits.map(compileLimit);
  // A grant without limits would let everything pass.
  if (granted && limits.length === 0) throw invalid("limits", "is empty although granted");
  const unfilteredNamespaces = nameSet(message.unfilteredNamespaces, "unfiltered_namespaces");
  const isFenced = fencePredicate(
    bucketSet(fence?.buckets ?? []),
    nameSet(fence?.namespaces ?? [], "fence.namespaces"),
    nameSet(fence?.exceptNamespaces ?? [], "fence.except_namespaces"),
    hash,
  );
  return {
    id: { term: id.term, revision: id.revision },
    shard: message.shard,
    granted,
    grantReason: message.grantReason,
    epoch: message.epoch,
    hash,
    view: viewOf(message, limits),
    hasFence: fence !== undefined && fence.buckets.length + fence.namespaces.length > 0,
    limitFor: limitLookup(limits, resourceSet(message.unfilteredResources)),
    isUnfilteredNamespace: (namespace) => unfilteredNamespaces.has(namespace),
    isFenced: (namespace) => !unfilteredNamespaces.has(namespace) && isFenced(namespace),
  };
}

function viewOf(
  { unfilteredResources, unfilteredNamespaces }: Snapshot,
  patterns: readonly LimitPattern[],
): string {
  const limits = patterns.map(({ groups, resources, limit }) => [
    [...groups],
    [...resources],
    limit.selector,
  ]);
  const resources = unfilteredResources.map(({ group, resource }) => resourceKey(group, resource));
  const text = JSON.stringify([limits, resources, unfilteredNamespaces]);
  return createHash("sha256").update(text).digest("base64url");
}

interface LimitPattern {
  readonly groups: ReadonlySet<string>;
  readonly resources: ReadonlySet<string>;
  readonly limit: CompiledLimit;
}

type LimitLookup = (group: string, resource: string) => CompiledLimit | undefined;

/** Bounded by this many pairs, since names of resources come from clients. */
const memoLimit = 1_000;

/** The first matching limit; answers are remembered. */
function limitLookup(patterns: readonly LimitPattern[], unfiltered: ReadonlySet<string>): LimitLookup {
  const memo = new Map<string, Map<string, CompiledLimit | undefined>>();
  let remembered = 0;
  const find: LimitLookup = (group, resource) =>
    unfiltered.has(resourceKey(group, resource))
      ? undefined
      : patterns.find(({ groups, resources }) => matches(groups, group) && matches(resources, resource))
          ?.limit;
  return (group, resource) => {
    let ofGroup = memo.get(group);
    if (ofGroup?.has(resource)) return ofGroup.get(resource);
    const limit = find(group, resource);
    if (remembered < memoLimit) {
      remembered++;
      ofGroup ??= new Map();
      memo.set(group, ofGroup.set(resource, limit));
    }
    return limit;
  };
}

function matches(patterns: ReadonlySet<string>, name: string): boolean {
  return patterns.has(name) || patterns.has("*");
}

function compileLimit({ groups, resources, selector }: Limit, index: number): LimitPattern {
  const where = `limits[${index}]`;
  if (selector.trim() === "") throw invalid(`${where}.selector`, "is empty, which would select everything");
  let requirements: Requirement[];
  try {
    requirements = parseSelector(selector);
  } catch (error) {
    throw invalid(`${where}.selector`, `"${selector}" does not parse`, error);
  }
  // One text form for one meaning: what compares selectors sees no change where there is none.
  const text = printSelector(requirements);
  return {
    groups: patternSet(groups, `${where}.groups`, true),
    resources: patternSet(resources, `${where}.resources`, false),
    limit: { selector: text, escapedSelector: encodeURIComponent(text), requirements },
  };
}

function patternSet(
  patterns: readonly string[],
  where: string,
  mayBeEmptyText: boolean,
): ReadonlySet<string> {
  if (patterns.length === 0) throw invalid(where, "is empty");
  if (patterns.includes("*") && patterns.length > 1) throw invalid(where, 'holds "*" and more');
  return nameSet(patterns, where, mayBeEmptyText);
}

function resourceSet(resources: readonly GroupResource[]): ReadonlySet<string> {
  const keys = resources.map(({ group, resource }, index) => {
    const where = `unfiltered_resources[${index}]`;
    if (resource === "") throw invalid(`${where}.resource`, "is empty");
    if (resource === "*" || group === "*")
      throw invalid(where, "holds a wildcard, which would lift all limits");
    return resourceKey(group, resource);
  });
  return nameSet(keys, "unfiltered_resources");
}

/** A slash stands in no group. */
function resourceKey(group: string, resource: string): string {
  return `${group}/${resource}`;
}

function nameSet(names: readonly string[], where: string, mayBeEmptyText = false): ReadonlySet<string> {
  const set = new Set<string>();
  for (const name of names) {
    if (name === "" && !mayBeEmptyText) throw invalid(where, "holds an empty name");
    if (set.has(name)) throw invalid(where, `names "${name}" twice`);
    set.add(name);
  }
  return set;
}

function bucketSet(buckets: readonly number[]): ReadonlySet<number> {
  const set = new Set<number>();
  for (const bucket of buckets) {
    if (bucket >= bucketCount)
      throw invalid("fence.buckets", `${bucket} is no bucket (0 to ${bucketCount - 1})`);
    if (set.has(bucket)) throw invalid("fence.buckets", `names ${bucket} twice`);
    set.add(bucket);
  }
  return set;
}

function fencePredicate(
  buckets: ReadonlySet<number>,
  namespaces: ReadonlySet<string>,
  except: ReadonlySet<string>,
  hash: HashName,
): (namespace: string) => boolean {
  for (const name of except) {
    if (namespaces.has(name)) throw invalid("fence", `"${name}" is both fenced and excepted`);
  }
  return (namespace) =>
    namespaces.has(namespace) ||
    (buckets.size > 0 && !except.has(namespace) && buckets.has(bucketOf(namespace, hash)));
}

function grantOf(grant: Grant): boolean {
  if (grant !== Grant.GRANTED && grant !== Grant.NOT_GRANTED)
    throw invalid("grant", `${grant} is no known value`);
  return grant === Grant.GRANTED;
}

function hashOf(hash: HashFunction): HashName {
  switch (hash) {
    case HashFunction.MURMUR3:
      return "murmur3";
    case HashFunction.ADDITIVE:
      return "additive";
    default:
      throw invalid("hash", `${hash} is no known value`);
  }
}

/** Generated messages keep what they do not know in `$unknown`, each message its own. */
function refuseUnknownFields(value: unknown, where: string): void {
  if (Array.isArray(value)) {
    for (const [index, element] of value.entries()) refuseUnknownFields(element, `${where}[${index}]`);
    return;
  }
  if (typeof value !== "object" || value === null) return;
  if ("$unknown" in value && Array.isArray(value.$unknown) && value.$unknown.length > 0) {
    const numbers = value.$unknown.map((field: { readonly no: number }) => field.no).join(", ");
    throw new CtrlmeshError("SNAPSHOT_UNKNOWN_FIELD", {
      what: `field ${numbers} is unknown`,
      where,
      hint: "this proxy is older than the manager: restart the pod with the manager's proxy version",
    });
  }
  for (const [name, member] of Object.entries(value)) {
    if (!name.startsWith("$")) refuseUnknownFields(member, `${where}.${name}`);
  }
}

function invalid(where: string, what: string, cause?: unknown): CtrlmeshError {
  return new CtrlmeshError("SNAPSHOT_INVALID", {
    what,
    where: `snapshot.${where}`,
    ...(cause === undefined ? {} : { cause }),
  });
}
