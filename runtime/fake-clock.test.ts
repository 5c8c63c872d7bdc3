import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "./fake-clock.ts";

test("fake clock: timers fire in the order in which they are due, with the time they were due at", async () => {
  const clock = new FakeClock();
  const fired: [string, number][] = [];
  clock.timer(20, () => fired.push(["late", clock.monotonicMs()]));
  clock.timer(10, () => {
    fired.push(["early", clock.monotonicMs()]);
    clock.timer(5, () => fired.push(["started on the way", clock.monotonicMs()]));
  });
  await clock.advance(30);
  assert.deepEqual(fired, [
    ["early", 10],
    ["started on the way", 15],
    ["late", 20],
  ]);
  assert.equal(clock.monotonicMs(), 30);
  assert.equal(clock.waiting, 0);
});

test("fake clock: an aborted sleep rejects with the signal's reason and leaves no timer", async () => {
  const clock = new FakeClock();
  const controller = new AbortController();
  const sleeping = clock.sleep(1000, controller.signal);
  const reason = new Error("enough");
  controller.abort(reason);
  await assert.rejects(sleeping, reason);
  assert.equal(clock.waiting, 0);
});

test("fake clock: a wall jump moves time stamps and no timer", async () => {
  const clock = new FakeClock(0);
  let fired = false;
  clock.timer(10, () => {
    fired = true;
  });
  clock.jumpWall(3_600_000);
  assert.equal(clock.now(), 3_600_000);
  assert.equal(fired, false);
  await clock.advance(10);
  assert.equal(fired, true);
});
