import assert from "node:assert/strict";
import { test } from "node:test";
import { allBuckets, bucketOf } from "#api/bucket";
import { Grant, HashFunction, type Snapshot } from "#api/gen/ctrlmesh/v1/control_pb";
import { defaultShardLabels as labels } from "#api/names";
import type { LedgerAtom, LedgerHolder, LedgerShard } from "#api/ownership-ledger";
import { compileSnapshot, contentKey, type LedgerSpec, refusalSnapshot } from "./compile.ts";

const settings = { labels, exemptNamespaces: ["kube-system"] };
const subject = { uid: "u-0", namespace: "ops", shard: "a" };
const bucketOfX = `bucket/${bucketOf("x", "murmur3")}`;

function ledgerOf(
  atoms: Readonly<Record<string, readonly [LedgerAtom["state"], string]>>,
  shard: Partial<LedgerShard>,
): LedgerSpec {
  const names = [...allBuckets.map((bucket) => `bucket/${bucket}`), "namespace/x", "namespace/y"];
  return {
    group: "leader.billing",
    hash: "murmur3",
    term: 4,
    epoch: 9,
    atoms: names.map((atom) => {
      const [state, owner] = atoms[atom] ?? ["Free", ""];
      return { atom, state, shard: owner, epoch: 1 };
    }),
    shards: [
      {
        name: "a",
        onLoss: "Restart",
        settleSeconds: 30,
        limits: [limit("namespace in (x,y)")],
        unfilteredResources: [],
        holders: [holder({})],
        ...shard,
      },
    ],
  };
}

const limit = (selector: string) => ({
  groups: ["*"],
  resources: ["configmaps"],
  selector: selector.replaceAll("namespace", labels.namespace).replaceAll("hash", labels.hash),
});
const holder = (fields: Partial<LedgerHolder>): LedgerHolder => ({ pod: "op-0", uid: "u-0", ...fields });
const selectorsOf = ({ limits }: Snapshot) =>
  limits.map(({ selector }) =>
    selector.replaceAll(labels.hash, "hash").replaceAll(labels.namespace, "namespace"),
  );
const fenceOf = ({ fence }: Snapshot) =>
  fence && [fence.buckets.join(), fence.namespaces.join(), fence.exceptNamespaces.join()];

const compile = (ledger: LedgerSpec) => compileSnapshot(ledger, subject, settings, "waiting");

test("compileSnapshot: a holder gets what its shard holds, its own and the exempt namespaces unfiltered", () => {
  const snapshot = compile(
    ledgerOf(
      { "namespace/x": ["Held", "a"], "namespace/y": ["Held", "b"] },
      { unfilteredResources: [{ group: "", resource: "nodes" }] },
    ),
  );
  assert.equal(snapshot.grant, Grant.GRANTED);
  assert.deepEqual(selectorsOf(snapshot), ["namespace=x"]);
  assert.deepEqual(snapshot.unfilteredNamespaces, ["kube-system", "ops"]);
  assert.deepEqual(
    snapshot.unfilteredResources.map(({ resource }) => resource),
    ["nodes"],
  );
  assert.equal(snapshot.hash, HashFunction.MURMUR3);
  assert.equal(snapshot.epoch, 9n);
  assert.equal(snapshot.shard, "a");
  assert.equal(snapshot.fence, undefined);
  assert.equal(snapshot.id, undefined);
});

test("compileSnapshot: a pod that the ledger does not name, a shard without atoms or limits get no grant", () => {
  const held = { "namespace/x": ["Held", "a"] } as const;
  const cases: readonly LedgerSpec[] = [
    ledgerOf(held, { holders: [] }),
    ledgerOf(held, { holders: [holder({ uid: "another" })] }),
    ledgerOf(held, { name: "b" }),
    ledgerOf(held, { limits: [] }),
    ledgerOf({ "namespace/x": ["Held", "b"] }, {}),
    ledgerOf({ "namespace/x": ["Revoking", "a"] }, {}),
  ];
  for (const ledger of cases) {
    const snapshot = compile(ledger);
    assert.equal(snapshot.grant, Grant.NOT_GRANTED);
    assert.equal(snapshot.grantReason, "waiting");
    assert.equal(snapshot.limits.length, 0);
    assert.equal(snapshot.unfilteredNamespaces.length, 0);
  }
});

test("compileSnapshot: onLoss Restart keeps the lost in the view of the pod that had it, fenced", () => {
  const atoms = { "namespace/x": ["Held", "a"], "namespace/y": ["Revoking", "a"] } as const;
  const loser = compile(ledgerOf(atoms, { holders: [holder({ lost: ["namespace/y"] })] }));
  assert.deepEqual(selectorsOf(loser), ["namespace in (x,y)"]);
  assert.deepEqual(fenceOf(loser), ["", "y", ""]);
  const newcomer = compile(ledgerOf(atoms, {}));
  assert.deepEqual(selectorsOf(newcomer), ["namespace=x"]);
  assert.equal(fenceOf(newcomer), undefined);
});

test("compileSnapshot: onLoss Relist takes the lost out of the view and keeps the fence to the pod's end", () => {
  const holders = [holder({ lost: ["namespace/y"] })];
  for (const state of [
    ["Revoking", "a"],
    ["Held", "b"],
  ] as const) {
    const snapshot = compile(
      ledgerOf({ "namespace/x": ["Held", "a"], "namespace/y": state }, { onLoss: "Relist", holders }),
    );
    assert.deepEqual(selectorsOf(snapshot), ["namespace=x"]);
    assert.deepEqual(fenceOf(snapshot), ["", "y", ""]);
  }
});

test("compileSnapshot: a lost bucket does not fence the namespace of it that the shard keeps", () => {
  const snapshot = compile(
    ledgerOf(
      { [bucketOfX]: ["Revoking", "a"], "namespace/x": ["Held", "a"], "namespace/y": ["Held", "a"] },
      { limits: [limit("hash")], holders: [holder({ lost: [bucketOfX] })] },
    ),
  );
  assert.deepEqual(fenceOf(snapshot), [bucketOfX.slice("bucket/".length), "", "x"]);
});

test("compileSnapshot: a pod of the prior view keeps its limits, another pod has the next ones", () => {
  const ledger = ledgerOf(
    { "namespace/x": ["Held", "a"], "namespace/y": ["Held", "a"] },
    {
      limits: [limit("namespace=x")],
      prior: { limits: [limit("namespace in (x,y)")], unfilteredResources: [] },
      holders: [holder({ prior: true }), holder({ uid: "u-1" })],
    },
  );
  assert.deepEqual(selectorsOf(compile(ledger)), ["namespace in (x,y)"]);
  const next = compileSnapshot(ledger, { ...subject, uid: "u-1" }, settings, "");
  assert.deepEqual(selectorsOf(next), ["namespace=x"]);
});

test("contentKey: id and epoch do not count, all else does", () => {
  const ledger = ledgerOf({ "namespace/x": ["Held", "a"] }, {});
  const key = contentKey(compile(ledger));
  assert.equal(contentKey({ ...compile({ ...ledger, epoch: 10 }), id: undefined } as Snapshot), key);
  assert.notEqual(contentKey(refusalSnapshot(subject, ledger, "a")), key);
  assert.notEqual(
    contentKey(refusalSnapshot(subject, ledger, "a")),
    contentKey(refusalSnapshot(subject, ledger, "b")),
  );
});
