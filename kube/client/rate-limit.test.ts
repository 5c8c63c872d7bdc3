import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "#runtime/fake-clock";
import { RateLimiter } from "./rate-limit.ts";

const signal = AbortSignal.timeout(20_000);

test("rate limit: a burst goes at once, then one per period, in the order of arrival", async () => {
  const clock = new FakeClock();
  const limiter = new RateLimiter({ qps: 10, burst: 3 }, clock);
  const gone: number[] = [];
  for (let n = 1; n <= 5; n++) void limiter.take(signal).then(() => gone.push(n));
  await clock.advance(99);
  assert.deepEqual(gone, [1, 2, 3]);
  await clock.advance(1);
  assert.deepEqual(gone, [1, 2, 3, 4]);
  await clock.advance(100);
  assert.deepEqual(gone, [1, 2, 3, 4, 5]);
});

test("rate limit: who stops waiting gives its turn back", async () => {
  const clock = new FakeClock();
  const limiter = new RateLimiter({ qps: 1, burst: 1 }, clock);
  await limiter.take(signal);
  const stop = new AbortController();
  const stopped = assert.rejects(limiter.take(stop.signal), /stopped/);
  stop.abort(new Error("stopped"));
  await stopped;
  let gone = false;
  void limiter.take(signal).then(() => {
    gone = true;
  });
  await clock.advance(1000);
  assert.equal(gone, true);
});

test("rate limit: a quiet hour earns no more than the burst", async () => {
  const clock = new FakeClock();
  const limiter = new RateLimiter({ qps: 10, burst: 2 }, clock);
  await clock.advance(3_600_000);
  let gone = 0;
  for (let n = 0; n < 5; n++) void limiter.take(signal).then(() => gone++);
  await clock.advance(0);
  assert.equal(gone, 2);
});
