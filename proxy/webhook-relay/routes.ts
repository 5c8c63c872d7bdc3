import { isIP } from "node:net";
import type { HashName } from "#api/bucket";
import { bucketCount, bucketOf } from "#api/bucket";
import { CtrlmeshError } from "#api/errors";
import { HashFunction, type WebhookRoutes, type WebhookShard } from "#api/gen/ctrlmesh/v1/control_pb";
import type { ReviewSubject } from "./review-subject.ts";

export interface WebhookEndpoint {
  readonly pod: string;
  /** IP address. */
  readonly address: string;
}

export interface RoutedShard {
  readonly name: string;
  /** Ready pods as the manager knew them. */
  readonly endpoints: readonly WebhookEndpoint[];
}

/** Who answers for which namespace. Immutable, swapped whole. */
export interface CompiledRoutes {
  /** Pre-shared key of TLS between the pods of the group. */
  readonly relayKey: Buffer;
  /** The shard that has a namespace; undefined when none with a webhook does. */
  shardOf(namespace: string): RoutedShard | undefined;
}

/** Why a review is answered by this pod's operator. */
export type LocalReason = "own" | "cluster_scoped" | "unsharded" | "no_routes" | "other";

export type Destination =
  | { readonly kind: "local"; readonly reason: LocalReason }
  | { readonly kind: "peer"; readonly shard: RoutedShard };

const keyBytes = 32;

/**
 * Whose operator answers. A review is sent away only where another shard is known to have its namespace.
 *
 * Without routes it is answered here, and not refused: a webhook that refused until the manager has spoken could
 * keep the manager's own pods from being created, for ever.
 */
export function destinationOf(
  subject: ReviewSubject,
  ownShard: string,
  routes: CompiledRoutes | undefined,
): Destination {
  if (subject.kind === "other") return { kind: "local", reason: "other" };
  if (subject.kind === "cluster-scoped") return { kind: "local", reason: "cluster_scoped" };
  if (routes === undefined) return { kind: "local", reason: "no_routes" };
  const shard = routes.shardOf(subject.namespace);
  if (shard === undefined) return { kind: "local", reason: "unsharded" };
  return shard.name === ownShard ? { kind: "local", reason: "own" } : { kind: "peer", shard };
}

/**
 * Checks the manager's routes and indexes them.
 *
 * @throws PROTOCOL_VIOLATION with the field and the reason; nothing of such a message is taken over
 */
export function compileRoutes(message: WebhookRoutes): CompiledRoutes {
  const { relayKey, shards } = message;
  if (relayKey.length !== keyBytes) throw invalid(`relay_key has ${relayKey.length} bytes, not ${keyBytes}`);
  const hash = hashOf(message.hash);
  const unsharded = new Set(message.unshardedNamespaces);
  const byBucket = new Map<number, RoutedShard>();
  const byNamespace = new Map<string, RoutedShard>();
  for (const shard of shards) {
    const routed = routedShard(shard);
    for (const bucket of shard.buckets) {
      if (bucket >= bucketCount) throw invalid(`${bucket} is no bucket`);
      if (byBucket.has(bucket)) throw invalid(`bucket ${bucket} is named twice`);
      byBucket.set(bucket, routed);
    }
    for (const namespace of shard.namespaces) {
      if (byNamespace.has(namespace)) throw invalid(`namespace "${namespace}" is named twice`);
      byNamespace.set(namespace, routed);
    }
  }
  const named = new Set(message.namedNamespaces);
  return {
    relayKey: Buffer.from(relayKey),
    shardOf: (namespace) => {
      if (unsharded.has(namespace)) return undefined;
      // A namespace that is named and has no shard now is free, whoever has its bucket.
      if (named.has(namespace)) return byNamespace.get(namespace);
      return byBucket.get(bucketOf(namespace, hash));
    },
  };
}

function routedShard({ name, endpoints }: WebhookShard): RoutedShard {
  if (name === "") throw invalid("a shard has no name");
  for (const { address } of endpoints)
    if (isIP(address) === 0) throw invalid(`"${address}" is no IP address`);
  return { name, endpoints: endpoints.map(({ pod, address }) => ({ pod, address })) };
}

function hashOf(hash: HashFunction): HashName {
  if (hash === HashFunction.MURMUR3) return "murmur3";
  if (hash === HashFunction.ADDITIVE) return "additive";
  throw invalid(`hash ${hash} is no known value`);
}

function invalid(what: string): CtrlmeshError {
  return new CtrlmeshError("PROTOCOL_VIOLATION", { what, where: "webhook routes of the manager" });
}
