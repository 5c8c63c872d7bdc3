import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "yaml";
import type { KubernetesObject } from "./meta.ts";
import { type LedgerAtom, type OwnershipLedger, parseOwnershipLedger } from "./ownership-ledger.ts";

const ledger = (atoms: string, shards = "[]", spec = "") => `
apiVersion: ctrlmesh.kusionstack.io/v1alpha1
kind: OwnershipLedger
metadata: {name: billing, namespace: billing-system, resourceVersion: "7"}
spec: {group: billing, hash: murmur3, term: 3, epoch: 9, atoms: ${atoms}, shards: ${shards}${spec}}`;

const shard = (fields: string) =>
  `[{name: a, onLoss: Restart, settleSeconds: 30, limits: [], unfilteredResources: [], ${fields}}]`;

test("parseOwnershipLedger: a whole ledger comes back as it was written", () => {
  const yaml = ledger(
    "[{atom: bucket/7, shard: a, state: Held, epoch: 9}, {atom: namespace/team-a, shard: '', state: Free, epoch: 0}]",
    shard(
      "holders: [{pod: op-0, uid: u-0}, {pod: op-1, uid: u-1, lost: [bucket/7], prior: true, unbound: true}]",
    ),
  );
  const parsed: OwnershipLedger = parseOwnershipLedger(parse(yaml));
  assert.deepEqual(parsed, parse(yaml));
  const asObject: KubernetesObject = parsed;
  const first: LedgerAtom | undefined = parsed.spec.atoms[0];
  assert.equal(asObject.metadata?.resourceVersion, "7");
  assert.equal(first?.state, "Held");
});

test("parseOwnershipLedger: what cannot be a ledger is refused with its path", () => {
  const cases: readonly (readonly [string, string, RegExp])[] = [
    [
      ledger("[{atom: bucket/32, shard: a, state: Held, epoch: 1}]"),
      "spec.atoms[0].atom",
      /use bucket\/0 to bucket\/31/,
    ],
    [
      ledger("[{atom: namespace/Team, shard: a, state: Held, epoch: 1}]"),
      "spec.atoms[0].atom",
      /is not allowed/,
    ],
    [
      ledger("[{atom: bucket/1, shard: a, state: Gone, epoch: 1}]"),
      "spec.atoms[0].state",
      /use Held, Revoking or Free/,
    ],
    [
      ledger("[{atom: bucket/1, shard: a, state: Free, epoch: 1}]"),
      "spec.atoms[0].shard",
      /a Free atom has no shard/,
    ],
    [
      ledger("[{atom: bucket/1, shard: '', state: Held, epoch: 1}]"),
      "spec.atoms[0].shard",
      /any other has one/,
    ],
    [
      ledger("[{atom: bucket/1, shard: a, state: Held, epoch: -1}]"),
      "spec.atoms[0].epoch",
      /-1 is out of range/,
    ],
    [
      ledger("[{atom: bucket/1, shard: a, state: Held, epoch: 1e17}]"),
      "spec.atoms[0].epoch",
      /expected a whole number/,
    ],
    [
      ledger(
        "[{atom: bucket/1, shard: a, state: Held, epoch: 1}, {atom: bucket/1, shard: b, state: Held, epoch: 2}]",
      ),
      "spec.atoms[1]",
      /has the atom of an entry before it/,
    ],
    [ledger("[]", shard("holders: [{pod: op-0}]")), "spec.shards[0].holders[0].uid", /is required/],
    [ledger("[]", shard("holders: {}")), "spec.shards[0].holders", /expected a list, found an object/],
    [ledger("null"), "spec.atoms", /is required/],
    ["kind: OwnershipLedger\nmetadata: {name: x}", "spec", /is required/],
    ["kind: Ledger\nspec: {}", "spec.group", /is required/],
    ["just text", "object", /expected an object, found "just text"/],
  ];
  for (const [yaml, where, message] of cases)
    assert.throws(
      () => parseOwnershipLedger(parse(yaml)),
      { code: "INVALID_RESOURCE", where, message },
      yaml,
    );
});

test("parseOwnershipLedger: another kind or version is refused", () => {
  const whole = parse(ledger("[]"));
  assert.throws(() => parseOwnershipLedger({ ...whole, kind: "Lease" }), { where: "kind" });
  assert.throws(() => parseOwnershipLedger({ ...whole, apiVersion: "v1" }), { where: "apiVersion" });
  assert.throws(() => parseOwnershipLedger({ ...whole, metadata: {} }), { where: "metadata.name" });
});
