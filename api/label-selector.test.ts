import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  isLabelKey,
  parseSelector,
  printSelector,
  type Requirement,
  requirementsOf,
  selectorMatches,
} from "./label-selector.ts";

const keys = fc.constantFrom("a", "b", "ctrlmesh.kusionstack.io/namespace", "x-1");
const values = fc.constantFrom("", "1", "2", "v_1", "ns-a");
const requirement: fc.Arbitrary<Requirement> = fc.oneof(
  fc.record({
    key: keys,
    operator: fc.constantFrom("In" as const, "NotIn" as const),
    values: fc.uniqueArray(values, { minLength: 1, maxLength: 3 }),
  }),
  fc.record({
    key: keys,
    operator: fc.constantFrom("Exists" as const, "DoesNotExist" as const),
    values: fc.constant([]),
  }),
  fc.record({
    key: keys,
    operator: fc.constantFrom("Gt" as const, "Lt" as const),
    values: fc.integer({ min: -3, max: 3 }).map((value) => [String(value)]),
  }),
);
// "-3" is an integer for Gt but no label value, as in apimachinery; keep to values that both accept.
const selectors = fc
  .array(requirement)
  .map((list) => list.filter(({ values: [first] }) => !first?.startsWith("-")));
const labelSets = fc.dictionary(keys, values);

test("parseSelector: of a printed selector gives the same requirements", () => {
  fc.assert(
    fc.property(selectors, (list) =>
      assert.deepEqual(
        parseSelector(printSelector(list)),
        list.map((one) => ({ ...one })),
      ),
    ),
  );
});

test("parseSelector: text joined by a comma matches the intersection", () => {
  fc.assert(
    fc.property(selectors, selectors, labelSets, (left, right, set) => {
      const joined = [printSelector(left), printSelector(right)].filter((text) => text !== "").join(",");
      assert.equal(
        selectorMatches(parseSelector(joined), set),
        selectorMatches(left, set) && selectorMatches(right, set),
      );
    }),
  );
});

test("parseSelector: accepts every form of the grammar", () => {
  const forms = [
    "a",
    "!a",
    "a=1",
    "a==1",
    "a!=1",
    "a in (1,2)",
    "a notin (1)",
    "a>3",
    "a<3",
    " a , !b ",
    "a in ( 1 , )",
    "a=",
  ];
  for (const text of forms) assert.doesNotThrow(() => parseSelector(text), text);
});

test("parseSelector: refuses what apimachinery refuses", () => {
  const bad = [
    "=1",
    "a in",
    "a in (",
    "a in 1",
    "a=1,",
    ",a",
    "a b",
    "a>x",
    "-a",
    "a/b/c",
    "a=é",
    "a=(",
    "!",
    "a!",
    "a in (1",
    "a=1 b=2",
  ];
  for (const text of bad) assert.throws(() => parseSelector(text), { code: "INVALID_LABEL_SELECTOR" }, text);
});

test("requirementsOf: null members count as absent", () => {
  assert.deepEqual(requirementsOf({ matchLabels: null, matchExpressions: null }), []);
});

test("requirementsOf: an unknown operator names its path", () => {
  assert.throws(
    () =>
      requirementsOf({ matchExpressions: [{ key: "a", operator: "Near", values: ["1"] }] }, "spec.selector"),
    {
      code: "INVALID_LABEL_SELECTOR",
      where: "spec.selector.matchExpressions[0]",
    },
  );
});

test("selectorMatches: NotIn and != match an absent key, Gt does not", () => {
  assert.equal(selectorMatches(parseSelector("a!=1"), {}), true);
  assert.equal(selectorMatches(parseSelector("a notin (1)"), {}), true);
  assert.equal(selectorMatches(parseSelector("a>1"), {}), false);
});

test("isLabelKey: length and form of prefix and name", () => {
  assert.equal(isLabelKey(`${"a".repeat(63)}/${"b".repeat(63)}`), true);
  assert.equal(isLabelKey("b".repeat(64)), false);
  assert.equal(isLabelKey("A.b/c"), false);
  assert.equal(isLabelKey("/c"), false);
});
