import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseSelector, printSelector, type Requirement, selectorMatches } from "#api/label-selector";
import { findParameter, parameterValue } from "#kube/wire/query";
import { andSelector } from "./shard-selector.ts";

const shard = "team=a,shard-hash in (1,2)";
const escaped = encodeURIComponent(shard);

/** Selector that the API server takes from the rewritten query. */
function effective(query: string): string | undefined {
  return parameterValue(andSelector(query, escaped), "labelSelector");
}

// Inputs of the table in the original's behaviour (6.3), each with what the API server is to see.
const merged: readonly (readonly [name: string, query: string, selector: string])[] = [
  ["no query gives the shard's selector", "", shard],
  ["a client selector is added", "labelSelector=app%3Dfoo", `${shard},app=foo`],
  [
    "D11: a client value for the shard's key narrows, never replaces",
    "labelSelector=team%3Db",
    `${shard},team=b`,
  ],
  ["D12: != is anded", "labelSelector=app!%3Dfoo", `${shard},app!=foo`],
  ["D12: > is anded", "labelSelector=x%3E3", `${shard},x>3`],
  ["D12: < raw in the query is anded", "labelSelector=x<3", `${shard},x<3`],
  ["D12: a parameter without value does not disturb", "watch&labelSelector=app", `${shard},app`],
  ["D12: an unescaped selector is anded", "labelSelector=app=foo", `${shard},app=foo`],
  [
    "D12: of two selectors the first one counts, as on the API server",
    "labelSelector=a&labelSelector=b",
    `${shard},a`,
  ],
  ["an empty selector leaves the shard's", "labelSelector=", shard],
  ["a selector without value leaves the shard's", "labelSelector", shard],
  ["a blank selector leaves the shard's", "labelSelector=+%20%09%0a", shard],
  ["a plus is a space", "labelSelector=a+in+(b)", `${shard},a in (b)`],
  ["an encoded name is found", "label%53elector=a", `${shard},a`],
  ["the name has one case", "LabelSelector=a", shard],
  ["a broken encoding does not count, as on the API server", "labelSelector=a%zz", shard],
  ["a semicolon makes a pair void, as on the API server", "labelSelector=a;b", shard],
  ["a void one does not hide the next", "labelSelector=a;b&labelSelector=c", `${shard},c`],
  [
    "a NUL, which ends the API server's lexer, comes behind the shard's part",
    "labelSelector=a%00",
    `${shard},a\0`,
  ],
  ["an open list does not swallow the shard's part", "labelSelector=a+in+(b", `${shard},a in (b`],
  ["a leading comma does not swallow it", "labelSelector=,a", `${shard},,a`],
];

for (const [name, query, selector] of merged) {
  test(name.startsWith("D1") ? name : `shard selector: ${name}`, () =>
    assert.equal(effective(query), selector),
  );
}

test("shard selector: every labelSelector is anded, for servers that read the last one", () => {
  assert.equal(
    andSelector("labelSelector=a&x=1&labelSelector=b", "s"),
    "labelSelector=s%2Ca&x=1&labelSelector=s%2Cb",
  );
});

test("shard selector: without a client selector it comes first, before what other parsers take for one", () => {
  assert.equal(andSelector("x=1;labelSelector=a", "s"), "labelSelector=s&x=1;labelSelector=a");
});

test("shard selector: the other parameters keep order and bytes", () => {
  const query = "b=%7e+%7E&a=1&labelSelector=x%3d%79&&c;d&e=%zz&a=2&";
  assert.equal(andSelector(query, "s"), "b=%7e+%7E&a=1&labelSelector=s%2Cx%3d%79&&c;d&e=%zz&a=2&");
});

const key = fc.constantFrom("team", "app", "x/y");
const value = fc.constantFrom("a", "b", "1", "5");
const requirement: fc.Arbitrary<Requirement> = fc.oneof(
  fc.record({
    key,
    operator: fc.constantFrom("In" as const, "NotIn" as const),
    values: fc.uniqueArray(value, { minLength: 1, maxLength: 3 }),
  }),
  fc.record({
    key,
    operator: fc.constantFrom("Exists" as const, "DoesNotExist" as const),
    values: fc.constant([]),
  }),
  fc.record({
    key,
    operator: fc.constantFrom("Gt" as const, "Lt" as const),
    values: fc.tuple(fc.constantFrom("1", "3")),
  }),
);

test("shard selector: the result selects the intersection of both (property)", () => {
  const selector = fc.array(requirement, { minLength: 1, maxLength: 3 });
  const labels = fc.array(fc.dictionary(key, value, { maxKeys: 3 }), { maxLength: 20 });
  fc.assert(
    fc.property(selector, fc.option(selector), labels, (ours, theirs, objects) => {
      const query = theirs === null ? "" : `labelSelector=${encodeURIComponent(printSelector(theirs))}`;
      const both = andSelector(query, encodeURIComponent(printSelector(ours)));
      const parsed = parseSelector(parameterValue(both, "labelSelector") ?? "");
      for (const object of objects) {
        const wanted = selectorMatches(ours, object) && (theirs === null || selectorMatches(theirs, object));
        assert.equal(selectorMatches(parsed, object), wanted);
      }
    }),
  );
});

test("shard selector: whatever the query, the shard's part stands first and all else stays (property)", () => {
  const piece = fc.constantFrom(
    "labelSelector",
    "label%53elector",
    "=",
    "&",
    ";",
    "%",
    "%00",
    "a",
    ",",
    "(",
    "+",
    "?",
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 14 }), (pieces) => {
      const query = pieces.join("");
      const rewritten = andSelector(query, escaped);
      assert.equal(parameterValue(rewritten, "labelSelector")?.startsWith(shard), true);
      const others = (text: string) =>
        text.split("&").filter((pair) => pair !== "" && findParameter(pair, "labelSelector") < 0);
      assert.deepEqual(others(rewritten), others(query));
    }),
  );
});
