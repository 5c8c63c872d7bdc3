import assert from "node:assert/strict";
import { test } from "node:test";
import { AdaptiveGate } from "./adaptive-gate.ts";

test("adaptive gate: no more than the limit run at once, and it grows to its bound while all goes well", async () => {
  const gate = new AdaptiveGate({ min: 1, max: 8 });
  let running = 0;
  let most = 0;
  const work = async () => {
    most = Math.max(most, ++running);
    assert.ok(running <= gate.limit, `${running} run, ${gate.limit} may`);
    await new Promise((resolve) => setImmediate(resolve));
    running -= 1;
  };
  assert.equal(gate.limit, 2);
  await Promise.all(Array.from({ length: 300 }, () => gate.run(work)));
  assert.deepEqual([gate.limit, most, running], [8, 8, 0]);
});

test("adaptive gate: a busy server halves it once, however many answers say so", async () => {
  const gate = new AdaptiveGate({ min: 1, max: 8 });
  await Promise.all(Array.from({ length: 300 }, () => gate.run(async () => {})));
  const all = Promise.withResolvers<void>();
  const running = Array.from({ length: 8 }, () =>
    gate.run(async (onThrottle) => {
      onThrottle();
      await all.promise;
    }),
  );
  assert.equal(gate.limit, 4);
  all.resolve();
  await Promise.all(running);
});

test("adaptive gate: a failure leaves its place to the next", async () => {
  const gate = new AdaptiveGate({ min: 1, max: 1 });
  const failing = gate.run(() => Promise.reject(new Error("x")));
  const next = gate.run(() => Promise.resolve("next"));
  await assert.rejects(failing, /x/);
  assert.equal(await next, "next");
});
