import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeComponent, findParameter, pairCount, parameterValue, withParameter } from "./query.ts";

const values: readonly (readonly [query: string, name: string, value: string | undefined])[] = [
  ["", "watch", undefined],
  ["watch", "watch", ""],
  ["watch=", "watch", ""],
  ["a=b&watch=1", "watch", "1"],
  ["watch=1&watch=0", "watch", "1"],
  ["watch=a=b", "watch", "a=b"],
  ["watchful=1", "watch", undefined],
  ["Watch=1", "watch", undefined],
  ["w%61tch=1", "watch", "1"],
  ["%77%61%74%63%68", "watch", ""],
  ["w%61tch2=1", "watch", undefined],
  ["+watch=1", "watch", undefined],
  ["watch=a+b%20c%2Bd", "watch", "a b c+d"],
  // Go drops a pair that it can't decode and takes the next one.
  ["watch=%zz&watch=1", "watch", "1"],
  ["watch=%4&watch=1", "watch", "1"],
  ["watch=%", "watch", undefined],
  ["watch%zz=1", "watch", undefined],
  // A semicolon makes the whole pair count for nothing.
  ["watch=1;x=2&watch=3", "watch", "3"],
  ["x;watch=1", "watch", undefined],
  ["&&watch=1&", "watch", "1"],
  ["x=%77atch&y=1", "watch", undefined],
];

for (const [query, name, value] of values) {
  test(`query: "${query}" has ${value === undefined ? `no ${name}` : `${name} "${value}"`}`, () => {
    assert.equal(parameterValue(query, name), value);
  });
}

test("query: each percent-encoded byte becomes one character, a broken encoding none", () => {
  assert.equal(decodeComponent("%C3%A9%00"), "\u00c3\u00a9\u0000");
  assert.equal(decodeComponent("a%"), undefined);
  assert.equal(decodeComponent("%0g"), undefined);
});

test("query: setting a parameter replaces every occurrence, keeps all other bytes, or appends", () => {
  assert.equal(withParameter("", "rv", "7"), "rv=7");
  assert.equal(withParameter("a=%20&b", "rv", "7"), "a=%20&b&rv=7");
  assert.equal(withParameter("rv=1&a=+&r%76=2&b=;&rv", "rv", "7"), "rv=7&a=+&rv=7&b=;&rv=7");
});

test("query: pairs are counted as Go counts them", () => {
  assert.equal(pairCount("a"), 1);
  assert.equal(pairCount("a&&b&"), 4);
});

test("query: a set parameter is read back, and those before and behind it are the same (property)", () => {
  const piece = fc.constantFrom("rv", "r%76", "a", "b", "=", "&", "%", "%41", ";", "+", "1");
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const query = pieces.join("");
      const set = withParameter(query, "rv", "42");
      assert.equal(parameterValue(set, "rv"), "42");
      const others = (text: string) =>
        text.split("&").filter((pair) => pair !== "" && findParameter(pair, "rv") < 0);
      assert.deepEqual(others(set), others(query));
    }),
  );
});
