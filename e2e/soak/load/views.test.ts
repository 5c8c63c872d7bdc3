import assert from "node:assert/strict";
import { test } from "node:test";
import { type View, viewAt } from "./scene.ts";
import { Views } from "./views.ts";

const [first, second, third]: [View, View, View] = [viewAt(0), viewAt(1), viewAt(2)];

test("views: from the sending of a snapshot to its ack both it and the one before are possible", () => {
  const views = new Views();
  views.sent(first);
  views.acked();
  const beforeMs = performance.now();
  assert.deepEqual(views.possible(beforeMs, performance.now()), [first]);
  views.sent(second);
  const betweenMs = performance.now();
  assert.deepEqual(views.possible(betweenMs, performance.now()), [first, second]);
  views.acked();
  const afterMs = performance.now() + 1;
  assert.deepEqual(views.possible(afterMs, afterMs), [second]);
  assert.deepEqual(
    views.possible(beforeMs, afterMs),
    [first, second],
    "a request that lasted over the switch",
  );
});

test("views: an ack ends all views before it, also those without an ack of their own", () => {
  const views = new Views();
  for (const view of [first, second, third]) views.sent(view);
  views.acked();
  const afterMs = performance.now() + 1;
  assert.deepEqual(views.possible(afterMs, afterMs), [third]);
});

test("views: an outage excuses what overlaps it and the time behind it", () => {
  const views = new Views();
  const beforeMs = performance.now() - 1;
  views.outageBegins(0);
  assert.ok(!views.isOutage(beforeMs - 10, beforeMs));
  assert.ok(views.isOutage(beforeMs, performance.now()));
  views.outageEnds(1_000);
  const nowMs = performance.now();
  assert.ok(views.isOutage(nowMs + 900, nowMs + 950));
  assert.ok(!views.isOutage(nowMs + 1_100, nowMs + 1_200));
});
