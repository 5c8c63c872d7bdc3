import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { bucketOf } from "#api/bucket";
import { CtrlmeshError, type ErrorCode } from "#api/errors";
import { Grant, HashFunction, type Snapshot, SnapshotSchema } from "#api/gen/ctrlmesh/v1/control_pb";
import { type CompiledSnapshot, compareSnapshotIds, compileSnapshot } from "./snapshot.ts";

type SnapshotInit = Exclude<MessageInitShape<typeof SnapshotSchema>, Snapshot>;

/** A value that only a later version has. */
const laterValue: Grant & HashFunction = JSON.parse("9");

const good = {
  id: { term: 1n, revision: 2n },
  shard: "shard-a",
  grant: Grant.GRANTED,
  limits: [{ groups: [""], resources: ["pods"], selector: "team = a" }],
  hash: HashFunction.MURMUR3,
  epoch: 3n,
} satisfies SnapshotInit;

function compile(changes: SnapshotInit = {}): CompiledSnapshot {
  return compileSnapshot(create(SnapshotSchema, { ...good, ...changes }));
}

function assertRefused(run: () => unknown, code: ErrorCode, reason: RegExp): void {
  assert.throws(run, (error: unknown) => {
    assert.ok(error instanceof CtrlmeshError);
    assert.equal(error.code, code);
    assert.match(error.message, reason);
    return true;
  });
}

test("snapshot: the plain facts are taken over", () => {
  const snapshot = compile({ grantReason: "because" });
  assert.deepEqual(snapshot.id, { term: 1n, revision: 2n });
  assert.equal(snapshot.shard, "shard-a");
  assert.equal(snapshot.granted, true);
  assert.equal(snapshot.grantReason, "because");
  assert.equal(snapshot.epoch, 3n);
  assert.equal(snapshot.hash, "murmur3");
  assert.equal(compile({ grant: Grant.NOT_GRANTED, limits: [] }).granted, false);
  assert.equal(compile({ hash: HashFunction.ADDITIVE }).hash, "additive");
});

test("snapshot: the view's name changes with what is shown, and with nothing else", () => {
  const { view } = compile();
  const alike: SnapshotInit[] = [
    { id: { term: 2n, revision: 7n }, epoch: 9n, grantReason: "because" },
    { fence: { namespaces: ["gone"] } },
    { limits: [{ groups: [""], resources: ["pods"], selector: "team=a" }] },
  ];
  for (const changes of alike) assert.equal(compile(changes).view, view);
  const others: SnapshotInit[] = [
    { limits: [{ groups: [""], resources: ["pods"], selector: "team=b" }] },
    { limits: [{ groups: [""], resources: ["pods", "nodes"], selector: "team=a" }] },
    { unfilteredNamespaces: ["own"] },
    { unfilteredResources: [{ group: "", resource: "pods" }] },
  ];
  assert.equal(new Set([view, ...others.map((changes) => compile(changes).view)]).size, 5);
});

test("snapshot: ids are ordered by term, then by revision", () => {
  const id = (term: bigint, revision: bigint) => ({ term, revision });
  assert.ok(compareSnapshotIds(id(1n, 9n), id(2n, 1n)) < 0);
  assert.ok(compareSnapshotIds(id(2n, 2n), id(2n, 1n)) > 0);
  assert.equal(compareSnapshotIds(id(2n, 1n), id(2n, 1n)), 0);
  assert.ok(compareSnapshotIds(id(2n ** 63n, 0n), id(2n ** 63n + 1n, 0n)) < 0);
});

test("snapshot: the first limit whose groups and resources match decides, wildcards each on its own", () => {
  const snapshot = compile({
    limits: [
      { groups: ["apps"], resources: ["deployments"], selector: "n=1" },
      { groups: ["apps", "batch"], resources: ["*"], selector: "n=2" },
      { groups: ["*"], resources: ["widgets", "gadgets"], selector: "n=3" },
      { groups: [""], resources: ["pods"], selector: "n=4" },
    ],
    unfilteredResources: [
      { group: "batch", resource: "jobs" },
      { group: "", resource: "widgets" },
    ],
  });
  const selector = (group: string, resource: string) => snapshot.limitFor(group, resource)?.selector;
  for (const repetition of ["first look", "remembered"]) {
    assert.equal(selector("apps", "deployments"), "n=1", repetition);
    assert.equal(selector("apps", "widgets"), "n=2", repetition);
    assert.equal(selector("batch", "cronjobs"), "n=2", repetition);
    assert.equal(selector("batch", "jobs"), undefined, repetition);
    assert.equal(selector("x.io", "gadgets"), "n=3", repetition);
    assert.equal(selector("", "widgets"), undefined, repetition);
    assert.equal(selector("x.io", "widgets"), "n=3", repetition);
    assert.equal(selector("", "pods"), "n=4", repetition);
    assert.equal(selector("x.io", "pods"), undefined, repetition);
    assert.equal(selector("", "constructor"), undefined, repetition);
  }
});

test("snapshot: limits stay right for more names than are remembered", () => {
  const snapshot = compile({ limits: [{ groups: ["*"], resources: ["*"], selector: "n=1" }] });
  for (let i = 0; i < 3_000; i++) assert.equal(snapshot.limitFor("g", `r${i}`)?.selector, "n=1");
  assert.equal(snapshot.limitFor("g", "r2999")?.selector, "n=1");
});

test("snapshot: a selector is brought into one text form and escaped for a query", () => {
  const limit = compile({
    limits: [{ groups: [""], resources: ["pods"], selector: " a in (1, 2) , !b" }],
  }).limitFor("", "pods");
  assert.equal(limit?.selector, "a in (1,2),!b");
  assert.equal(decodeURIComponent(limit?.escapedSelector ?? ""), "a in (1,2),!b");
  assert.equal(/[ &+;#=,]/.test(limit?.escapedSelector ?? " "), false);
});

test("snapshot: the fence holds buckets and namespaces, but neither excepted nor unfiltered ones", () => {
  const bucket = bucketOf("by-bucket", "murmur3");
  const others = Array.from({ length: 200 }, (_, i) => `n${i}`);
  const sameBucket = others.filter((name) => bucketOf(name, "murmur3") === bucket);
  const [kept = "", own = "", lost = ""] = sameBucket;
  const snapshot = compile({
    unfilteredNamespaces: [own, "kube-system"],
    fence: { buckets: [bucket], namespaces: ["named", "kube-system"], exceptNamespaces: [kept] },
  });
  assert.equal(snapshot.hasFence, true);
  assert.equal(snapshot.isFenced("by-bucket"), true);
  assert.equal(snapshot.isFenced(lost), true);
  assert.equal(snapshot.isFenced("named"), true);
  assert.equal(snapshot.isFenced(kept), false);
  assert.equal(snapshot.isFenced(own), false);
  assert.equal(snapshot.isFenced("kube-system"), false);
  assert.equal(snapshot.isUnfilteredNamespace(own), true);
  assert.equal(snapshot.isUnfilteredNamespace("named"), false);
  const elsewhere = others.filter((name) => bucketOf(name, "murmur3") !== bucket);
  assert.ok(elsewhere.every((name) => !snapshot.isFenced(name)));
});

test("snapshot: the fence takes the snapshot's hash function", () => {
  const name = "team-b";
  const fence = { buckets: [bucketOf(name, "additive")] };
  assert.notEqual(bucketOf(name, "additive"), bucketOf(name, "murmur3"));
  assert.equal(compile({ fence, hash: HashFunction.ADDITIVE }).isFenced(name), true);
  assert.equal(compile({ fence }).isFenced(name), false);
});

test("snapshot: without fence, or with an empty one, nothing is fenced", () => {
  assert.equal(compile().hasFence, false);
  assert.equal(compile({ fence: {} }).hasFence, false);
  assert.equal(compile({ fence: { exceptNamespaces: ["x"] } }).isFenced("x"), false);
});

const limit = { groups: [""], resources: ["pods"], selector: "team=a" };
const badSnapshots: readonly (readonly [name: string, changes: SnapshotInit, reason: RegExp])[] = [
  ["no id", { id: undefined }, /snapshot\.id: is missing/],
  ["an id of zeros", { id: {} }, /snapshot\.id: is zero/],
  ["no shard", { shard: "" }, /shard: is empty/],
  ["no grant", { grant: Grant.UNSPECIFIED }, /grant: 0 is no known value/],
  ["a grant of a later version", { grant: laterValue }, /grant: 9 is no known value/],
  ["no hash function", { hash: HashFunction.UNSPECIFIED }, /hash: 0 is no known value/],
  ["a hash function of a later version", { hash: laterValue }, /hash: 9 is no known value/],
  ["D13: a grant without limits", { limits: [] }, /limits: is empty although granted/],
  ["an empty selector", { limits: [limit, { ...limit, selector: "" }] }, /limits\[1\]\.selector: is empty/],
  ["a blank selector", { limits: [{ ...limit, selector: " \t" }] }, /selector: is empty/],
  [
    "a selector that does not parse",
    { limits: [{ ...limit, selector: "a in (" }] },
    /"a in \(" does not parse/,
  ],
  ["a selector with a bad value", { limits: [{ ...limit, selector: "a=b&c" }] }, /does not parse/],
  ["a limit without groups", { limits: [{ ...limit, groups: [] }] }, /limits\[0\]\.groups: is empty/],
  [
    "a limit without resources",
    { limits: [{ ...limit, resources: [] }] },
    /limits\[0\]\.resources: is empty/,
  ],
  ["an empty resource", { limits: [{ ...limit, resources: [""] }] }, /resources: holds an empty name/],
  [
    "a wildcard beside names",
    { limits: [{ ...limit, groups: ["*", "apps"] }] },
    /groups: holds "\*" and more/,
  ],
  ["a group twice", { limits: [{ ...limit, groups: ["apps", "apps"] }] }, /names "apps" twice/],
  ["an unfiltered wildcard", { unfilteredResources: [{ group: "", resource: "*" }] }, /wildcard/],
  ["an unfiltered resource without name", { unfilteredResources: [{ group: "apps" }] }, /resource: is empty/],
  [
    "an unfiltered resource twice",
    { unfilteredResources: [{ resource: "nodes" }, { resource: "nodes" }] },
    /names "\/nodes" twice/,
  ],
  ["an unfiltered namespace without name", { unfilteredNamespaces: [""] }, /holds an empty name/],
  ["an unfiltered namespace twice", { unfilteredNamespaces: ["x", "x"] }, /names "x" twice/],
  ["a bucket above 31", { fence: { buckets: [32] } }, /fence\.buckets: 32 is no bucket/],
  ["a bucket twice", { fence: { buckets: [3, 3] } }, /names 3 twice/],
  ["a fenced namespace twice", { fence: { namespaces: ["x", "x"] } }, /names "x" twice/],
  [
    "a namespace both fenced and excepted",
    { fence: { namespaces: ["x"], exceptNamespaces: ["x"] } },
    /"x" is both/,
  ],
];

for (const [name, changes, reason] of badSnapshots) {
  test(`${name.startsWith("D") ? "" : "snapshot: "}${name} is refused`, () => {
    assertRefused(() => compile(changes), "SNAPSHOT_INVALID", reason);
  });
}

/** A field that no version has, as bytes. */
const strange = new BinaryWriter().tag(99, 0).uint32(1).finish();
const nested: readonly (readonly [where: RegExp, fieldNumber: number])[] = [
  [/snapshot\.id: field 99/, 1],
  [/snapshot\.limits\[1\]: field 99/, 5],
  [/snapshot\.unfilteredResources\[0\]: field 99/, 6],
  [/snapshot\.fence: field 99/, 8],
];

test("snapshot: an unknown field at the top is refused", () => {
  const bytes = Buffer.concat([toBinary(SnapshotSchema, create(SnapshotSchema, good)), strange]);
  assertRefused(
    () => compileSnapshot(fromBinary(SnapshotSchema, bytes)),
    "SNAPSHOT_UNKNOWN_FIELD",
    /snapshot: field 99 is unknown/,
  );
});

for (const [where, fieldNumber] of nested) {
  test(`snapshot: an unknown field inside field ${fieldNumber} is refused`, () => {
    const inner = new BinaryWriter().tag(fieldNumber, 2).bytes(strange).finish();
    const bytes = Buffer.concat([toBinary(SnapshotSchema, create(SnapshotSchema, good)), inner]);
    assertRefused(() => compileSnapshot(fromBinary(SnapshotSchema, bytes)), "SNAPSHOT_UNKNOWN_FIELD", where);
  });
}
