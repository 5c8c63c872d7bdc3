import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { identify, isAlive, parseStat } from "./process-identity.ts";

const fields = "1 1 1 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 8153 999 1";

test("process identity: a name with spaces and parentheses does not shift the start time", () => {
  assert.equal(parseStat(`42 (sleep) S ${fields}`).start, "8153");
  assert.equal(parseStat(`42 (a) S 1 (b) S ${fields}`).start, "8153");
});

test("process identity: what has ended and waits for its parent does not count as running", () => {
  assert.equal(parseStat(`42 (sleep) Z ${fields}`).hasEnded, true);
  assert.equal(parseStat(`42 (sleep) S ${fields}`).hasEnded, false);
});

test("process identity: a process is itself until it ends, and no other one under the same id", async () => {
  const child = spawn("sleep", ["60"]);
  await once(child, "spawn");
  const identity = identify(child.pid ?? 0);
  assert.ok(identity !== undefined);
  assert.equal(isAlive(identity), true);
  assert.equal(isAlive({ ...identity, start: `${identity.start}0` }), false, "the id was given on");
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
  assert.equal(isAlive(identity), false);
});
