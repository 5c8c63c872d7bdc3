import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { continuedResourceVersion, isBelow, isDecimal, isZero, nextVersion } from "./resource-version.ts";

test("resource version: decimal digits of any number are a version, nothing else", () => {
  for (const text of ["0", "00", "7", "18446744073709551616"]) assert.equal(isDecimal(text), true, text);
  for (const text of ["", "-1", "+1", "1 ", "1.0", "1e3", "0x1", "\u0661"])
    assert.equal(isDecimal(text), false, text);
});

test("resource version: zeros alone are zero", () => {
  assert.equal(isZero("0"), true);
  assert.equal(isZero("000"), true);
  assert.equal(isZero("010"), false);
  assert.equal(isZero(""), false);
});

test("resource version: texts of any length compare as numbers (property)", () => {
  const version = fc.tuple(fc.nat({ max: 3 }), fc.bigInt({ min: 0n, max: 2n ** 80n }));
  fc.assert(
    fc.property(version, version, ([zerosA, a], [zerosB, b]) => {
      assert.equal(isBelow("0".repeat(zerosA) + a, "0".repeat(zerosB) + b), a < b);
    }),
  );
});

test("resource version: the next one is greater by one, at any length", () => {
  assert.equal(nextVersion("099"), "100");
  assert.equal(nextVersion("18446744073709551615"), "18446744073709551616");
});

const token = (json: string) => Buffer.from(json).toString("base64url");

// Each was held to apiserver 0.36's DecodeContinue, but for the negative one, which it hands out itself.
const tokens: readonly (readonly [name: string, token: string, version: string | undefined])[] = [
  ["a token", token('{"v":"meta.k8s.io/v1","rv":123,"start":"a\\u0000"}'), "123"],
  ["a token with a name in capitals", token('{"v":"meta.k8s.io/v1","RV":5,"start":"a"}'), "5"],
  ["a token with the name twice", token('{"v":"meta.k8s.io/v1","RV":5,"rv":7,"start":"a"}'), "7"],
  [
    "a token of an inconsistent list, as old as can be",
    token('{"v":"meta.k8s.io/v1","rv":-1,"start":"a"}'),
    "0",
  ],
  ["a version in quotes", token('{"rv":"5"}'), undefined],
  ["a fraction", token('{"rv":1.5}'), undefined],
  ["no version", token('{"start":"a"}'), undefined],
  ["JSON that is no object", token("7"), undefined],
  ["text behind the JSON", token('{"rv":5} x'), undefined],
  ["no JSON", "abc", undefined],
];

for (const [name, text, version] of tokens) {
  test(`resource version: ${name} continues from ${version ?? "nowhere"}`, () => {
    assert.equal(continuedResourceVersion(text), version);
  });
}
