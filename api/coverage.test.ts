import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { bucketOf, type HashName } from "./bucket.ts";
import {
  type Atom,
  atomName,
  atomsOf,
  claims,
  otherRequirements,
  overlapsAndGaps,
  parseAtom,
} from "./coverage.ts";
import { type Requirement, requirementsOf, selectorMatches } from "./label-selector.ts";
import { defaultShardLabels } from "./names.ts";

const labels = defaultShardLabels;
const pool = ["team-a", "team-b", "ns-1", "ns-2", "abc", "cba", "x", "billing-system"];
const hashes = fc.constantFrom<HashName>("murmur3", "additive");

const requirement = (key: string, values: fc.Arbitrary<string>): fc.Arbitrary<Requirement> =>
  fc.oneof(
    fc.record({
      key: fc.constant(key),
      operator: fc.constantFrom("In" as const, "NotIn" as const),
      values: fc.uniqueArray(values, { minLength: 1, maxLength: 12 }),
    }),
    fc.record({
      key: fc.constant(key),
      operator: fc.constantFrom("Exists" as const, "DoesNotExist" as const),
      values: fc.constant([]),
    }),
  );
const requirements = fc.oneof(
  requirement(labels.hash, fc.integer({ min: 0, max: 33 }).map(String)),
  requirement(labels.namespace, fc.oneof(fc.constantFrom(...pool), fc.constant("Not_A.Namespace"))),
);
const selectors = fc.array(requirements, { maxLength: 3 });
const groups = fc.array(selectors, { minLength: 1, maxLength: 4 });
const namespaces = fc.oneof(fc.constantFrom(...pool), fc.stringMatching(/^[a-z0-9]{1,12}$/));

/** Labels of an object in a namespace, as the manager stamps them. */
const stamped = (namespace: string, hash: HashName) => ({
  [labels.hash]: String(bucketOf(namespace, hash)),
  [labels.namespace]: namespace,
  [labels.control]: "true",
});

/** The atom that a namespace belongs to. */
function atomOf(namespace: string, atoms: readonly Atom[], hash: HashName): string {
  const names = new Set(atoms.map(atomName));
  const own = `namespace/${namespace}`;
  return names.has(own) ? own : `bucket/${bucketOf(namespace, hash)}`;
}

test("claims: an atom is claimed exactly when the selector matches the objects of its namespaces", () => {
  fc.assert(
    fc.property(groups, namespaces, hashes, (group, namespace, hash) => {
      const atoms = atomsOf(group, labels, hash);
      const atom = atomOf(namespace, atoms, hash);
      for (const selector of group)
        assert.equal(
          claims(selector, atoms, labels).has(atom),
          selectorMatches(selector, stamped(namespace, hash)),
        );
    }),
    { numRuns: 2000 },
  );
});

test("D54: overlapsAndGaps: finds exactly the namespaces that several shards see and that none sees", () => {
  fc.assert(
    fc.property(groups, namespaces, hashes, (group, namespace, hash) => {
      const claimants = group.map((selector, index) => ({ shard: `s${index}`, selectors: [selector] }));
      const { overlaps, gaps } = overlapsAndGaps(claimants, labels, hash);
      const atom = atomOf(namespace, atomsOf(group, labels, hash), hash);
      const seenBy = claimants
        .filter(({ selectors: own }) => own.some((one) => selectorMatches(one, stamped(namespace, hash))))
        .map(({ shard }) => shard);
      assert.deepEqual(
        overlaps.find((one) => one.atom === atom)?.shards ?? [],
        seenBy.length > 1 ? seenBy : [],
      );
      assert.equal(gaps.includes(atom), seenBy.length === 0);
    }),
    { numRuns: 2000 },
  );
});

test("D54: overlapsAndGaps: a canary namespace that a sibling does not leave out is an overlap", () => {
  const low = Array.from({ length: 16 }, (_, i) => String(i));
  const high = Array.from({ length: 16 }, (_, i) => String(i + 16));
  const hash = (values: readonly string[]): Requirement => ({ key: labels.hash, operator: "In", values });
  const canary: Requirement = { key: labels.namespace, operator: "In", values: ["abc"] };
  const rest: Requirement = { key: labels.namespace, operator: "NotIn", values: ["abc"] };
  const without = (first: Requirement[], second: Requirement[]) =>
    overlapsAndGaps(
      [
        { shard: "canary", selectors: [[canary]] },
        { shard: "one", selectors: [first] },
        { shard: "two", selectors: [second] },
      ],
      labels,
      "murmur3",
    );
  assert.deepEqual(without([hash(low), rest], [hash(high), rest]), { overlaps: [], gaps: [] });
  const owner = bucketOf("abc", "murmur3") < 16 ? "one" : "two";
  assert.deepEqual(without([hash(low)], [hash(high)]), {
    overlaps: [{ atom: "namespace/abc", shards: ["canary", owner] }],
    gaps: [],
  });
  assert.deepEqual(without([hash(low), rest], [hash(high.slice(1)), rest]), {
    overlaps: [],
    gaps: ["bucket/16"],
  });
});

test("D4: overlapsAndGaps: a canary by namespace and bucket at once leaves gaps that are found", () => {
  // The original's children: canary takes (A and B), the other shard (not A and not B).
  const both = (operator: "In" | "NotIn"): Requirement[] => [
    { key: labels.namespace, operator, values: ["abc"] },
    { key: labels.hash, operator, values: ["3"] },
  ];
  const { gaps } = overlapsAndGaps(
    [
      { shard: "canary", selectors: [both("In")] },
      { shard: "normal", selectors: [both("NotIn")] },
    ],
    labels,
    "additive",
  );
  // abc is in bucket 6 under the additive hash: matched by neither, like the rest of bucket 3.
  assert.deepEqual(gaps, ["bucket/3", "namespace/abc"]);
});

test("otherRequirements: names every requirement on another label and leaves the claim as wide as without it", () => {
  const selector = requirementsOf({
    matchLabels: { "control-by": "demo" },
    matchExpressions: [{ key: labels.hash, operator: "In", values: ["4"] }],
  });
  assert.deepEqual(otherRequirements(selector, labels), [
    { key: "control-by", operator: "In", values: ["demo"] },
  ]);
  assert.deepEqual([...claims(selector, atomsOf([selector], labels, "murmur3"), labels)], ["bucket/4"]);
});

test("parseAtom: gives back every atom of its name and refuses any other text", () => {
  fc.assert(
    fc.property(groups, hashes, (group, hash) => {
      for (const atom of atomsOf(group, labels, hash))
        assert.deepEqual(parseAtom(atomName(atom), hash), atom);
    }),
  );
  for (const name of [
    "bucket/32",
    "bucket/07",
    "bucket/",
    "namespace/",
    "namespace/A",
    "namespace/a/b",
    "7",
    "",
  ])
    assert.equal(parseAtom(name, "murmur3"), undefined, name);
});
