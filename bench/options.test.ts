import assert from "node:assert/strict";
import { test } from "node:test";
import { caseNames } from "./cases.ts";
import { readOptions } from "./options.ts";

test("options: without any, everything is measured five times but the prototype, which lies elsewhere", () => {
  const { cases, peers, repetitions } = readOptions([]);
  assert.deepEqual(cases, caseNames);
  assert.deepEqual(peers, ["direct", "go", "go-bare", "haproxy", "nginx", "http-proxy-3", "undici"]);
  assert.equal(repetitions, 5);
  assert.ok(readOptions(["--prototype", "/x"]).peers.includes("prototype"));
});

test("options: cases, peers and repetitions are chosen by name, also in a quick run", () => {
  const given = ["--quick", "--cases", "idle,get-1k", "--peers", "go", "--repetitions", "7"];
  const { cases, peers, repetitions } = readOptions(given);
  assert.deepEqual([cases, peers, repetitions], [["idle", "get-1k"], ["go"], 7]);
});

test("options: what is not known is refused with what is", () => {
  assert.throws(() => readOptions(["--cases", "get-2k"]), /"get-2k" is none of get-1k, /);
  assert.throws(() => readOptions(["--repetitions", "0"]), /no positive number/);
  assert.throws(() => readOptions(["--fast"]), /--fast/);
});
