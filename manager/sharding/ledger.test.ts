import assert from "node:assert/strict";
import { test } from "node:test";
import { allBuckets } from "#api/bucket";
import { finalizer } from "#api/names";
import { parseOwnershipLedger } from "#api/ownership-ledger";
import { MemoryApi } from "#kube/client/memory-api";
import type { Log } from "#runtime/log";
import { emptyLedger } from "./handover.ts";
import { checkLedger, LedgerStore, type StoredLedger } from "./ledger.ts";

const silence: Log = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silence,
};
const { signal } = new AbortController();
const place = { namespace: "ops", name: "g" };
const storeOf = (client: MemoryApi, term: number) =>
  new LedgerStore({ client, log: silence, term: () => term });
const stored = (client: MemoryApi) => parseOwnershipLedger(client.peek("ownershipledgers", "g", "ops")).spec;
const specOf = (ledger: StoredLedger | undefined) =>
  ledger !== undefined && "spec" in ledger ? ledger.spec : undefined;

test("LedgerStore: the write of a leader that was stopped and goes on fails, and ends its leadership", async () => {
  const client = new MemoryApi();
  const former = storeOf(client, 1);
  await former.save(place, emptyLedger("g", "murmur3", 0), signal);
  const next = storeOf(client, 2);
  await next.takeOver(signal);
  assert.equal(stored(client).term, 2);
  await assert.rejects(former.save(place, { ...emptyLedger("g", "murmur3", 0), epoch: 7 }, signal), {
    code: "LEADERSHIP_LOST",
  });
  assert.equal(stored(client).epoch, 0);
  await assert.rejects(former.takeOver(signal), { code: "LEADERSHIP_LOST" });
});

test("LedgerStore: a ledger that another hand changed is a conflict, and read again", async () => {
  const client = new MemoryApi();
  const store = storeOf(client, 1);
  await store.save(place, emptyLedger("g", "murmur3", 0), signal);
  const object = client.peek("ownershipledgers", "g", "ops") ?? {};
  client.put("ownershipledgers", { ...object, spec: { ...stored(client), epoch: 5 } });
  await assert.rejects(store.save(place, emptyLedger("g", "murmur3", 0), signal), {
    code: "LEDGER_CONFLICT",
  });
  assert.equal(specOf(store.ofNamespace("ops")[0])?.epoch, 5);
});

test("LedgerStore: one that exists when the first is to be written is a conflict, not overwritten", async () => {
  const client = new MemoryApi();
  await storeOf(client, 1).save(place, { ...emptyLedger("g", "murmur3", 0), epoch: 3 }, signal);
  const store = storeOf(client, 2);
  await assert.rejects(store.save(place, emptyLedger("g", "murmur3", 0), signal), {
    code: "LEDGER_CONFLICT",
  });
  assert.equal(stored(client).epoch, 3);
});

test("LedgerStore: has a finalizer while it is there, and goes with it", async () => {
  const client = new MemoryApi();
  const store = storeOf(client, 1);
  await store.save(place, emptyLedger("g", "murmur3", 0), signal);
  assert.deepEqual(client.peek("ownershipledgers", "g", "ops")?.metadata?.finalizers, [finalizer]);
  await store.remove(place, signal);
  assert.equal(client.peek("ownershipledgers", "g", "ops"), undefined);
  assert.deepEqual(store.all(), []);
});

test("LedgerStore: a corrupt ledger is told and never written over by the take-over", async () => {
  const client = new MemoryApi();
  client.put("ownershipledgers", { metadata: place, spec: { group: "g" } });
  const store = storeOf(client, 2);
  await store.takeOver(signal);
  const [ledger] = store.all();
  assert.ok(ledger !== undefined && "corrupt" in ledger);
  assert.equal(ledger.corrupt.code, "LEDGER_CORRUPT");
  assert.deepEqual(client.peek("ownershipledgers", "g", "ops")?.spec, { group: "g" });
});

test("checkLedger: what no schema can say is refused with its place", () => {
  const atoms = allBuckets.map((bucket) => ({
    atom: `bucket/${bucket}`,
    shard: "",
    state: "Free",
    epoch: 0,
  }));
  const limit = { groups: [""], resources: ["configmaps"], selector: "a=b" };
  const shard = { name: "a", onLoss: "Restart", settleSeconds: 0, limits: [limit], unfilteredResources: [] };
  const pod = { pod: "a-0", uid: "u-0" };
  const whole = {
    group: "g",
    hash: "murmur3",
    term: 1,
    epoch: 4,
    atoms,
    shards: [{ ...shard, holders: [pod] }],
  };
  const parse = (spec: unknown) => checkLedger(parseOwnershipLedger({ metadata: place, spec }));
  assert.doesNotThrow(() => parse(whole));
  const first = { atom: "bucket/0", shard: "a", state: "Held", epoch: 1 };
  const cases: readonly (readonly [unknown, RegExp])[] = [
    [{ ...whole, atoms: atoms.slice(1) }, /31 of 32 buckets/],
    [{ ...whole, atoms: [{ ...first, shard: "ghost" }, ...atoms.slice(1)] }, /unknown shard ghost/],
    [{ ...whole, atoms: [{ ...first, epoch: 5 }, ...atoms.slice(1)] }, /epoch above/],
    [{ ...whole, shards: [{ ...shard, holders: [{ ...pod, lost: ["namespace/x"] }] }] }, /lost namespace\/x/],
    [
      {
        ...whole,
        shards: [
          { ...shard, holders: [pod] },
          { ...shard, name: "b", holders: [pod] },
        ],
      },
      /u-0 is in two shards/,
    ],
    [{ ...whole, shards: [{ ...shard, limits: [{ ...limit, selector: "a in" }], holders: [] }] }, /column/],
  ];
  for (const [spec, message] of cases) assert.throws(() => parse(spec), message);
});
