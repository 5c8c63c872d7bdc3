import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import murmurhash from "murmurhash";
import { bucketOf, murmur3, parseBucket } from "./bucket.ts";

test("murmur3: equals the reference package for any text", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      assert.equal(murmur3(new TextEncoder().encode(text)), murmurhash.v3(text));
    }),
  );
});

test("bucketOf additive: equals the vectors that the original's code gave", () => {
  const vectors: Record<string, number> = {
    default: 5,
    "kube-system": 25,
    "team-a": 21,
    "ab-team": 23,
    "test-0": 29,
    "test-1": 30,
    "ns-1": 31,
    "ns-2": 0,
    "demo-0a": 3,
    "operator-demo": 30,
    "prod-eu": 28,
    abc: 6,
    cba: 6,
    日本: 17,
  };
  for (const [name, bucket] of Object.entries(vectors))
    assert.equal(bucketOf(name, "additive"), bucket, name);
});

test("D35: anagrams do not share a bucket under the default hash", () => {
  assert.notEqual(bucketOf("abc", "murmur3"), bucketOf("cba", "murmur3"));
});

test("parseBucket: accepts exactly the decimal texts of 0..31", () => {
  for (let i = 0; i < 32; i++) assert.equal(parseBucket(String(i)), i);
  for (const text of ["", "32", "-1", "01", "1.0", " 1", "x", "1e1"])
    assert.equal(parseBucket(text), undefined, text);
});
