import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import { FakeClock } from "./fake-clock.ts";
import { silentLog } from "./log.ts";
import { exitDeadlinePassed, listenForShutdown, ShutdownRequested } from "./shutdown.ts";

function listening() {
  const source = new EventEmitter();
  const exits: number[] = [];
  const clock = new FakeClock();
  const exit = (code: number) => void exits.push(code);
  const shutdown = listenForShutdown({ deadlineMs: 25_000, source, exit, clock, log: silentLog });
  return { source, exits, clock, shutdown };
}

test("shutdown: the first signal aborts with its name and does not end the process", () => {
  const { source, exits, shutdown } = listening();
  source.emit("SIGTERM", "SIGTERM");
  assert.ok(shutdown.signal.reason instanceof ShutdownRequested);
  assert.equal(shutdown.signal.reason.signalName, "SIGTERM");
  assert.deepEqual(exits, []);
});

test("shutdown: a second signal ends the process with 128 and the number of the signal", () => {
  const { source, exits } = listening();
  source.emit("SIGTERM", "SIGTERM");
  source.emit("SIGINT", "SIGINT");
  assert.deepEqual(exits, [130]);
});

test("shutdown: an end that takes longer than the deadline is cut off", async () => {
  const { source, exits, clock } = listening();
  source.emit("SIGTERM", "SIGTERM");
  await clock.advance(24_999);
  assert.deepEqual(exits, []);
  await clock.advance(1);
  assert.deepEqual(exits, [exitDeadlinePassed]);
});

test("shutdown: disposing takes the listeners and the deadline away", async () => {
  const { source, exits, clock, shutdown } = listening();
  source.emit("SIGTERM", "SIGTERM");
  shutdown[Symbol.dispose]();
  await clock.advance(60_000);
  assert.deepEqual(exits, []);
  assert.equal(source.listenerCount("SIGTERM") + source.listenerCount("SIGINT"), 0);
});
