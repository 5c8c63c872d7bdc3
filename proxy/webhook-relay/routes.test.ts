import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { bucketOf } from "#api/bucket";
import { CtrlmeshError } from "#api/errors";
import { HashFunction, WebhookRoutesSchema } from "#api/gen/ctrlmesh/v1/control_pb";
import type { ReviewSubject } from "./review-subject.ts";
import { compileRoutes, destinationOf } from "./routes.ts";

type Routes = MessageInitShape<typeof WebhookRoutesSchema>;

const base: Routes = {
  hash: HashFunction.MURMUR3,
  relayKey: new Uint8Array(32),
  shards: [
    {
      name: "stable",
      buckets: [bucketOf("shop", "murmur3"), bucketOf("kube-system", "murmur3")],
      endpoints: [],
    },
    {
      name: "canary",
      buckets: [],
      namespaces: ["team-a"],
      endpoints: [{ pod: "op-1", address: "fd00::1" }],
    },
  ],
  unshardedNamespaces: ["kube-system"],
  namedNamespaces: ["team-a", "team-b"],
};
const compile = (given: Routes) => compileRoutes(create(WebhookRoutesSchema, given));

function describe(namespace: string, ownShard: string, given: Routes = base): string {
  const subject: ReviewSubject = { kind: "namespaced", namespace };
  const destination = destinationOf(subject, ownShard, compile(given));
  return destination.kind === "local" ? destination.reason : `to ${destination.shard.name}`;
}

test("destinationOf: a namespace goes to the shard that has it by name or bucket", () => {
  assert.equal(describe("team-a", "stable"), "to canary");
  assert.equal(describe("team-a", "canary"), "own");
  assert.equal(describe("shop", "canary"), "to stable");
  assert.equal(describe("shop", "stable"), "own");
});

test("destinationOf: exempt namespaces and those that nobody has stay here, whoever has their bucket", () => {
  assert.equal(describe("kube-system", "canary"), "unsharded");
  const buckets = Array.from({ length: 32 }, (_, bucket) => bucket);
  const all = { ...base, shards: [{ name: "stable", buckets }] };
  assert.equal(describe("team-b", "canary", all), "unsharded", "named and free");
  assert.equal(describe("team-c", "canary", all), "to stable");
});

test("destinationOf: what has no namespace stays here, as does all before the manager has spoken", () => {
  const routes = compile(base);
  assert.deepEqual(destinationOf({ kind: "cluster-scoped" }, "stable", routes), {
    kind: "local",
    reason: "cluster_scoped",
  });
  assert.deepEqual(destinationOf({ kind: "other" }, "stable", routes), { kind: "local", reason: "other" });
  assert.deepEqual(destinationOf({ kind: "namespaced", namespace: "team-a" }, "stable", undefined), {
    kind: "local",
    reason: "no_routes",
  });
});

const bad: [string, Routes, RegExp][] = [
  ["a short key", { ...base, relayKey: new Uint8Array(16) }, /relay_key has 16 bytes/],
  ["no hash", { ...base, hash: HashFunction.UNSPECIFIED }, /hash/],
  ["a bucket that is none", { ...base, shards: [{ name: "a", buckets: [32] }] }, /32 is no bucket/],
  [
    "a bucket of two shards",
    {
      ...base,
      shards: [
        { name: "a", buckets: [1] },
        { name: "b", buckets: [1] },
      ],
    },
    /bucket 1 is named twice/,
  ],
  [
    "a namespace of two shards",
    {
      ...base,
      shards: [
        { name: "a", namespaces: ["x"] },
        { name: "b", namespaces: ["x"] },
      ],
    },
    /"x" is named twice/,
  ],
  ["a shard without a name", { ...base, shards: [{ name: "" }] }, /no name/],
  [
    "a host name for an address",
    { ...base, shards: [{ name: "a", endpoints: [{ pod: "p", address: "example.com" }] }] },
    /no IP address/,
  ],
];
for (const [title, given, reason] of bad) {
  test(`compileRoutes: refuses ${title}`, () => {
    assert.throws(
      () => compile(given),
      (error) =>
        error instanceof CtrlmeshError && error.code === "PROTOCOL_VIOLATION" && reason.test(error.message),
    );
  });
}
