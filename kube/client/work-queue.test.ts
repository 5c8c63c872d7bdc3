import assert from "node:assert/strict";
import { test } from "node:test";
import { CtrlmeshError } from "#api/errors";
import { FakeClock } from "#runtime/fake-clock";
import { silentLog as log } from "#runtime/log";
import { runController } from "./controller.ts";
import { eventually } from "./eventually.ts";
import { WorkQueue } from "./work-queue.ts";

const signal = AbortSignal.timeout(20_000);
const queueOn = (clock: FakeClock) =>
  new WorkQueue({ clock, random: () => 0.999999, retryPause: { minMs: 100, maxMs: 1000 } });

test("work queue: a key that is added thrice is taken once", async () => {
  using queue = queueOn(new FakeClock());
  for (const key of ["a", "b", "a", "a"]) queue.add(key);
  assert.deepEqual([await queue.take(signal), await queue.take(signal), queue.size], ["a", "b", 2]);
  queue.done("a");
  queue.done("b");
  assert.equal(queue.size, 0);
});

test("work queue: a key that is added while it runs comes again afterwards, and not before", async () => {
  using queue = queueOn(new FakeClock());
  queue.add("a");
  await queue.take(signal);
  queue.add("a");
  queue.add("b");
  assert.equal(await queue.take(signal), "b");
  queue.done("a");
  assert.equal(await queue.take(signal), "a");
});

test("work queue: of two times for a key the earlier counts, and an addition now cancels both", async () => {
  const clock = new FakeClock();
  using queue = queueOn(clock);
  queue.addAfter("a", 500);
  queue.addAfter("a", 200);
  queue.addAfter("a", 900);
  const taken = queue.take(signal);
  await clock.advance(199);
  assert.equal(queue.size, 1);
  await clock.advance(1);
  assert.equal(await taken, "a");
  queue.done("a");
  queue.addAfter("a", 500);
  queue.add("a");
  assert.equal(await queue.take(signal), "a");
  queue.done("a");
  assert.equal(clock.waiting, 0);
});

test("work queue: pauses of a failing key grow, and forget makes them short again", () => {
  using queue = queueOn(new FakeClock());
  const pauses = [1, 2, 3, 4].map(() => Math.round(queue.retry("a")));
  assert.deepEqual(pauses, [200, 400, 800, 1000]);
  queue.forget("a");
  assert.equal(Math.round(queue.retry("a")), 200);
});

test("work queue: a waiting taker ends with its signal and takes no key with it", async () => {
  using queue = queueOn(new FakeClock());
  const stop = new AbortController();
  const taken = queue.take(stop.signal);
  stop.abort(new Error("stopped"));
  await assert.rejects(taken, /stopped/);
  queue.add("a");
  assert.equal(await queue.take(signal), "a");
});

test("work queue: after dispose no timer is left and additions do nothing", () => {
  const clock = new FakeClock();
  const queue = queueOn(clock);
  queue.addAfter("a", 100);
  queue[Symbol.dispose]();
  queue.add("b");
  assert.deepEqual([clock.waiting, queue.size], [0, 0]);
});

test("controller: one key is never in two hands, a failure repeats it, success forgets", async () => {
  const clock = new FakeClock();
  using queue = queueOn(clock);
  const stop = new AbortController();
  let inHand = 0;
  const outcomes: string[] = [];
  const running = runController({
    name: "test",
    queue,
    workers: 4,
    signal: stop.signal,
    log,
    reconcile: async (key) => {
      assert.equal(++inHand, 1);
      await new Promise((resolve) => setImmediate(resolve));
      inHand -= 1;
      outcomes.push(key);
      if (outcomes.length === 1) throw new CtrlmeshError("API_CONFLICT", { what: "again" });
      return outcomes.length === 2 ? { requeueAfterMs: 60_000 } : undefined;
    },
  });
  queue.add("a");
  await eventually(() => clock.nextDueInMs !== undefined, "the repetition");
  await clock.advance(200);
  await eventually(() => outcomes.length === 2 && clock.nextDueInMs === 60_000, "the requeue");
  await clock.advance(60_000);
  await eventually(() => outcomes.length === 3, "the third reconcile");
  stop.abort();
  await running;
});

test("controller: it ends only when the running reconcile has ended", async () => {
  using queue = queueOn(new FakeClock());
  const stop = new AbortController();
  const finish = Promise.withResolvers<undefined>();
  let ended = false;
  const reconcile = () => finish.promise;
  const running = runController({ name: "test", queue, workers: 1, signal: stop.signal, log, reconcile });
  const watched = running.then(() => {
    ended = true;
  });
  queue.add("a");
  await eventually(() => queue.size === 1, "the key in hand");
  stop.abort();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(ended, false);
  finish.resolve(undefined);
  await watched;
});
