import { create, toBinary } from "@bufbuild/protobuf";
import { atomName } from "#api/coverage";
import { type WebhookRoutes, WebhookRoutesSchema } from "#api/gen/ctrlmesh/v1/control_pb";
import { atomsOfLedger, hashFunctionOf, type LedgerSpec } from "./compile.ts";

/** A pod whose proxy takes reviews from the other pods of its group. */
export interface RelayPod {
  readonly pod: string;
  readonly shard: string;
  /** IP address. */
  readonly address: string;
}

export interface WebhookRoutesInput {
  /** Shards whose operator has a webhook. */
  readonly shards: readonly string[];
  readonly pods: readonly RelayPod[];
  readonly unshardedNamespaces: readonly string[];
  /** 32 bytes. */
  readonly relayKey: Uint8Array;
}

/**
 * Who answers admission reviews about which namespaces: the shard that the ledger names, also while it gives the
 * namespace away, since until then no other may act on it. Same input, same bytes, whatever the order.
 */
export function compileWebhookRoutes(ledger: LedgerSpec, input: WebhookRoutesInput): WebhookRoutes {
  const atoms = atomsOfLedger(ledger);
  const owners = new Map(ledger.atoms.map(({ atom, shard }) => [atom, shard]));
  return create(WebhookRoutesSchema, {
    hash: hashFunctionOf(ledger.hash),
    shards: [...input.shards].sort().map((name) => {
      const owned = atoms.filter((atom) => owners.get(atomName(atom)) === name);
      return {
        name,
        buckets: owned
          .flatMap((atom) => (atom.kind === "bucket" ? [atom.bucket] : []))
          .sort((left, right) => left - right),
        namespaces: owned.flatMap((atom) => (atom.kind === "namespace" ? [atom.namespace] : [])).sort(),
        endpoints: input.pods
          .filter(({ shard }) => shard === name)
          .map(({ pod, address }) => ({ pod, address }))
          .sort((left, right) => (left.pod < right.pod ? -1 : 1)),
      };
    }),
    unshardedNamespaces: [...new Set(input.unshardedNamespaces)].sort(),
    namedNamespaces: atoms.flatMap((atom) => (atom.kind === "namespace" ? [atom.namespace] : [])).sort(),
    relayKey: input.relayKey,
  });
}

/** Equal for routes that say the same. Holds the relay key: for comparing only, never for a log. */
export function webhookRoutesKey(routes: WebhookRoutes): string {
  return Buffer.from(toBinary(WebhookRoutesSchema, routes)).toString("base64");
}
