import assert from "node:assert/strict";
import { test } from "node:test";
import { countUnowned, UnownedAtoms } from "./unowned.ts";

const group = (
  states: Readonly<Record<string, "Free" | "Held" | "Revoking">>,
  claims: readonly string[],
) => ({
  ledger: {
    atoms: Object.entries(states).map(([atom, state]) => ({
      atom,
      state,
      shard: state === "Free" ? "" : "a",
      epoch: 1,
    })),
  },
  plan: { shards: [{ claims: new Set(claims) }] },
});

test("unowned atoms: in a group that names namespaces, free buckets are nobody's concern", () => {
  const named = group({ "bucket/0": "Free", "namespace/x": "Held", "namespace/y": "Free" }, ["namespace/x"]);
  assert.equal(countUnowned(named), 0);
  const waiting = group({ "bucket/0": "Free", "namespace/x": "Free" }, ["namespace/x"]);
  assert.equal(countUnowned(waiting), 1);
});

test("unowned atoms: in a group that divides buckets, each bucket has to have an owner", () => {
  const divided = group({ "bucket/0": "Held", "bucket/1": "Free", "bucket/2": "Revoking" }, ["bucket/0"]);
  assert.equal(countUnowned(divided), 1);
});

test("unowned atoms: the sum is over all namespaces, and one that is gone does not count", () => {
  const seen: number[] = [];
  const unowned = new UnownedAtoms({ set: (count) => void seen.push(count) });
  unowned.saw("one", [group({ "namespace/x": "Free" }, ["namespace/x"])]);
  unowned.saw("two", [group({ "namespace/y": "Free" }, ["namespace/y"])]);
  unowned.saw("one", []);
  assert.deepEqual(seen, [1, 2, 1]);
});
