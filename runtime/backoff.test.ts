import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Backoff } from "./backoff.ts";
import { FakeClock } from "./fake-clock.ts";

const clock = new FakeClock();

test("backoff: with the highest draw the delays double up to the longest", () => {
  const backoff = new Backoff({ minMs: 200, maxMs: 10_000, clock, random: () => 1 });
  const delays = Array.from({ length: 8 }, () => backoff.nextDelayMs());
  assert.deepEqual(delays, [400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000]);
});

test("backoff: with the lowest draw every delay is the shortest, never zero", () => {
  const backoff = new Backoff({ minMs: 200, maxMs: 10_000, clock, random: () => 0 });
  assert.deepEqual([backoff.nextDelayMs(), backoff.nextDelayMs()], [200, 200]);
});

test("backoff: delays stay between the bounds for any draw and any number of failures", () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.integer({ min: 1, max: 3000 }),
      (draw, attempts) => {
        const backoff = new Backoff({ minMs: 10, maxMs: 5000, clock, random: () => draw });
        let delayMs = 0;
        for (let attempt = 0; attempt < attempts; attempt++) delayMs = backoff.nextDelayMs();
        assert.ok(delayMs >= 10 && delayMs <= 5000);
      },
    ),
    { numRuns: 50 },
  );
});

test("backoff: reset starts again with short delays", () => {
  const backoff = new Backoff({ minMs: 100, maxMs: 10_000, clock, random: () => 1 });
  for (let attempt = 0; attempt < 5; attempt++) backoff.nextDelayMs();
  backoff.reset();
  assert.equal(backoff.nextDelayMs(), 200);
});

test("backoff: wait resolves when the clock has moved by the delay, and not before", async () => {
  const moved = new FakeClock();
  const backoff = new Backoff({ minMs: 100, maxMs: 1000, clock: moved, random: () => 0.5 });
  let done = false;
  const waiting = backoff.wait(new AbortController().signal).then(() => {
    done = true;
  });
  await moved.advance(149);
  assert.equal(done, false);
  await moved.advance(1);
  await waiting;
  assert.equal(done, true);
});
