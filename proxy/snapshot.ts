import type { HashName } from "#api/bucket";
import type { Requirement } from "#api/label-selector";

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
  limitFor(group: string, resource: string): CompiledLimit | undefined;
  /** Own and exempt namespaces: neither filtered nor fenced. */
  isUnfilteredNamespace(namespace: string): boolean;
  isFenced(namespace: string): boolean;
}
