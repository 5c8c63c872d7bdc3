import assert from "node:assert/strict";
import { test } from "node:test";
import { HashFunction } from "#api/gen/ctrlmesh/v1/control_pb";
import type { LedgerSpec } from "./compile.ts";
import { compileWebhookRoutes, type WebhookRoutesInput, webhookRoutesKey } from "./webhook-routes.ts";

const atom = (name: string, state: "Held" | "Revoking" | "Free", shard: string) => ({
  atom: name,
  state,
  shard,
  epoch: 1,
});

const ledger: LedgerSpec = {
  group: "op",
  hash: "murmur3",
  term: 4,
  epoch: 3,
  atoms: [
    atom("bucket/9", "Held", "stable"),
    atom("bucket/2", "Held", "stable"),
    atom("bucket/4", "Revoking", "canary"),
    atom("bucket/5", "Free", ""),
    atom("namespace/team-a", "Held", "canary"),
    atom("namespace/team-b", "Free", ""),
  ],
  shards: [],
};

const input: WebhookRoutesInput = {
  shards: ["stable", "canary"],
  pods: [
    { pod: "op-1", shard: "stable", address: "10.0.0.2" },
    { pod: "op-0", shard: "stable", address: "10.0.0.1" },
    { pod: "op-9", shard: "canary", address: "10.0.0.9" },
  ],
  unshardedNamespaces: ["ops", "kube-system", "ops"],
  relayKey: new Uint8Array(32).fill(1),
};

test("compileWebhookRoutes: each shard gets the atoms that the ledger gives it, those it is giving away included", () => {
  const { shards, hash, unshardedNamespaces, namedNamespaces } = compileWebhookRoutes(ledger, input);
  assert.equal(hash, HashFunction.MURMUR3);
  assert.deepEqual(
    shards.map(({ name, buckets, namespaces, endpoints }) => ({
      name,
      buckets,
      namespaces,
      pods: endpoints.map(({ pod, address }) => `${pod} ${address}`),
    })),
    [
      { name: "canary", buckets: [4], namespaces: ["team-a"], pods: ["op-9 10.0.0.9"] },
      { name: "stable", buckets: [2, 9], namespaces: [], pods: ["op-0 10.0.0.1", "op-1 10.0.0.2"] },
    ],
  );
  assert.deepEqual(unshardedNamespaces, ["kube-system", "ops"]);
  assert.deepEqual(namedNamespaces, ["team-a", "team-b"], "also the one that nobody has");
});

test("compileWebhookRoutes: a shard whose operator has no webhook is left out", () => {
  const { shards } = compileWebhookRoutes(ledger, { ...input, shards: ["canary"] });
  assert.deepEqual(
    shards.map(({ name }) => name),
    ["canary"],
  );
});

test("webhookRoutesKey: the order of pods is no change, an address is one", () => {
  const key = (pods: WebhookRoutesInput["pods"]) =>
    webhookRoutesKey(compileWebhookRoutes(ledger, { ...input, pods }));
  assert.equal(key([...input.pods].reverse()), key(input.pods));
  assert.notEqual(key(input.pods.map((pod) => ({ ...pod, address: "10.1.0.0" }))), key(input.pods));
});
