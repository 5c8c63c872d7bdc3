import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { bucketOf } from "#api/bucket";
import { atomName, atomsOf, claims, type Selector } from "#api/coverage";
import { parseSelector, printSelector, selectorMatches } from "#api/label-selector";
import { defaultShardLabels as labels } from "#api/names";
import { everything, restrictView } from "./view.ts";

const short = (selector: Selector) =>
  printSelector(selector).replaceAll(labels.hash, "hash").replaceAll(labels.namespace, "namespace");
const long = (text: string) =>
  parseSelector(text.replaceAll("hash", labels.hash).replaceAll("namespace", labels.namespace));

// Buckets of these names by murmur3, so that the cases below can be read.
const bucketOfX = bucketOf("x", "murmur3");
const bucketOfY = bucketOf("y", "murmur3");

function restricted(text: string, seen: (name: string) => boolean, named = "x,y") {
  const selector = long(text);
  const atoms = atomsOf([selector, long(`namespace in (${named})`)], labels, "murmur3");
  const names = new Set(atoms.map(atomName).filter(seen));
  const view = restrictView(selector, { atoms, seen: names, labels });
  return [short(view.selector), view.inexpressible];
}

test("restrictView: all that is claimed is held, so the selector stays as it is written", () => {
  assert.deepEqual(
    restricted("namespace in (x,y),tier=gold", (n) => n.startsWith("namespace/")),
    ["namespace in (x,y),tier=gold", []],
  );
  assert.deepEqual(
    restricted("hash in (3,4)", (n) => n === "bucket/3" || n === "bucket/4" || n.startsWith("namespace/")),
    ["hash in (3,4)", []],
  );
});

test("restrictView: a part is held, and the selector says exactly that part", () => {
  assert.deepEqual(
    restricted("namespace in (x,y),tier=gold", (n) => n === "namespace/x"),
    ["tier=gold,namespace=x", []],
  );
  assert.notEqual(bucketOfX, bucketOfY);
  assert.deepEqual(
    restricted(
      "namespace notin (y)",
      (n) => n === `bucket/${bucketOfX}` || n === `bucket/${bucketOfY}` || n === "namespace/x",
    ),
    [`hash in (${[bucketOfX, bucketOfY].sort((a, b) => a - b).join(",")}),namespace!=y`, []],
  );
});

test("restrictView: what no conjunction can say is left out and named", () => {
  const held = new Set(["namespace/x", `bucket/${bucketOfY}`]);
  assert.deepEqual(
    restricted("hash", (n) => held.has(n)),
    [`hash=${bucketOfY},namespace!=y`, ["namespace/x"]],
  );
  assert.deepEqual(
    restricted("hash", (n) => held.has(n) || n === "namespace/y", "x,y"),
    [`hash=${bucketOfY}`, ["namespace/x"]],
  );
});

test("restrictView: nothing held selects nothing", () => {
  assert.deepEqual(
    restricted("namespace=x", () => false),
    ["hash=none", []],
  );
});

test("D57: objects without shard labels are seen by nobody but a shard that sees all atoms", () => {
  assert.deepEqual(
    restricted("namespace notin (x)", () => true),
    ["namespace!=x", []],
  );
  assert.deepEqual(
    restricted("namespace notin (x)", (n) => n !== "namespace/x"),
    ["namespace!=x,hash", []],
  );
  assert.deepEqual(
    restricted("hash!=none", () => true),
    ["hash!=none", []],
  );
  assert.equal(short(everything(labels)), "hash!=none");
  assert.equal(selectorMatches(everything(labels), {}), true);
});

test("restrictView: whatever is held, the view is inside the selector and inside what may be seen", () => {
  const names = ["x", "y", "z", "team-a", "team-b"];
  const namespaces = fc.uniqueArray(fc.constantFrom(...names), { minLength: 1 });
  const buckets = fc.uniqueArray(fc.integer({ min: 0, max: 31 }), { minLength: 1 });
  const requirement = fc.oneof(
    fc.tuple(fc.constantFrom("In", "NotIn"), namespaces).map(([operator, values]) => ({
      key: labels.namespace,
      operator,
      values,
    })),
    fc.tuple(fc.constantFrom("In", "NotIn"), buckets).map(([operator, values]) => ({
      key: labels.hash,
      operator,
      values: values.map(String),
    })),
    fc.constant({ key: "tier", operator: "In" as const, values: ["gold"] }),
  );
  fc.assert(
    fc.property(
      fc.array(requirement, { minLength: 1, maxLength: 3 }),
      fc.array(fc.boolean(), { minLength: 37, maxLength: 37 }),
      (requirements, mask) => {
        const selector = parseSelector(printSelector(requirements as Selector));
        const atoms = atomsOf([selector, long(`namespace in (${names.join(",")})`)], labels, "murmur3");
        const seen = new Set(atoms.map(atomName).filter((_, index) => mask[index]));
        const { selector: view, inexpressible } = restrictView(selector, { atoms, seen, labels });
        const claimed = claims(selector, atoms, labels);
        for (const atom of atoms) {
          // An unnamed namespace of a bucket atom is "other" here: no selector speaks of it.
          const namespace = atom.kind === "namespace" ? atom.namespace : "other";
          const object = { [labels.hash]: String(atom.bucket), [labels.namespace]: namespace, tier: "gold" };
          const name = atomName(atom);
          const expected = claimed.has(name) && seen.has(name) && !inexpressible.includes(name);
          assert.equal(selectorMatches(view, object), expected, `${printSelector(view)} and ${name}`);
        }
        if (seen.size < atoms.length) assert.equal(selectorMatches(view, { tier: "gold" }), false);
      },
    ),
  );
});
