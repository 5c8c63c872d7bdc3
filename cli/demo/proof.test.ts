import assert from "node:assert/strict";
import { test } from "node:test";
import { compareOwners, type OperatorRecord, prove } from "./proof.ts";

const record = (pod: string, ...sources: string[]): OperatorRecord => ({
  pod,
  startedAt: "2026-01-01T00:00:00Z",
  writtenAt: "2026-01-01T00:00:01Z",
  sources,
});

test("prove: holds when each object is in exactly one cache", () => {
  const proof = prove(["a/1", "b/2"], [record("x", "a/1"), record("y", "b/2")]);
  assert.equal(proof.exactlyOneOwner, true);
  assert.equal(proof.owners.get("b/2"), "y");
});

test("prove: an object in two caches breaks it and is named", () => {
  const proof = prove(["a/1"], [record("x", "a/1"), record("y", "a/1")]);
  assert.deepEqual([proof.exactlyOneOwner, proof.shared], [false, ["a/1"]]);
});

test("prove: an object in no cache breaks it and is named", () => {
  const proof = prove(["a/1", "a/2"], [record("x", "a/1")]);
  assert.deepEqual([proof.exactlyOneOwner, proof.unowned], [false, ["a/2"]]);
});

test("prove: an object that a cache kept after it was deleted breaks it", () => {
  const proof = prove(["a/1"], [record("x", "a/1", "a/9")]);
  assert.deepEqual([proof.exactlyOneOwner, proof.unknown], [false, ["a/9"]]);
});

test("prove: without objects nothing is proven", () => {
  assert.equal(prove([], []).exactlyOneOwner, false);
});

test("compareOwners: counts what changed hands and what stayed", () => {
  const before = prove(["a/1", "b/2"], [record("x", "a/1", "b/2"), record("y")]);
  const after = prove(["a/1", "b/2"], [record("x", "a/1"), record("y", "b/2")]);
  assert.deepEqual(compareOwners(before, after), { moved: 1, kept: 1 });
});
