import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { WatchEvent } from "./events.ts";
import { objectOf, type View, viewAt } from "./scene.ts";
import { Tally } from "./tally.ts";
import { Views } from "./views.ts";
import { WatchJudge } from "./watch-judge.ts";

/** A judge of a watch of ConfigMaps that was opened under the views, the last of them in force. */
function judgeOf(...possible: View[]) {
  const views = new Views();
  const tally = new Tally();
  for (const view of possible) views.sent(view);
  views.acked();
  const judge = new WatchJudge({ resource: "configmaps", isWatchList: false, views, tally }, possible);
  return { judge, views, tally, violations: () => tally.report().firstViolations.join() };
}

function event(type: WatchEvent["type"], team: string): WatchEvent {
  return { type, object: objectOf("ConfigMap", team, "passing-1", 1) };
}

function advance(t: TestContext, ms: number): void {
  const nowMs = performance.now() + ms;
  t.mock.method(performance, "now", () => nowMs);
}

test("watch judge: events of its view hold, of another team fail", () => {
  const { judge, violations } = judgeOf(viewAt(0));
  for (const team of viewAt(0).teams.configmaps) judge.take(event("ADDED", team));
  assert.equal(violations(), "");
  judge.take(event("DELETED", "t4"));
  assert.match(violations(), /an event of t4 under t0 t1 t2/);
});

test("watch judge: of two views that were possible, the events have to fit one", () => {
  const { judge, violations } = judgeOf(viewAt(0), viewAt(1));
  judge.take(event("ADDED", "t0"));
  assert.equal(violations(), "");
  judge.take(event("ADDED", "t3"));
  assert.match(violations(), /an event of t3 under t0 t1 t2/);
});

test("watch judge: 100 s without a bookmark are too long, with one they are not", (t) => {
  const { judge, violations } = judgeOf(viewAt(0));
  advance(t, 90_000);
  judge.take(event("BOOKMARK", "t0"));
  advance(t, 90_000);
  judge.look();
  assert.equal(violations(), "");
  advance(t, 20_000);
  judge.look();
  assert.match(violations(), /brings no bookmark/);
});

test("watch judge: a watch that outlives its view by 20 s is stuck", (t) => {
  const { judge, views, violations } = judgeOf(viewAt(0));
  advance(t, 1);
  views.sent(viewAt(1));
  views.acked();
  advance(t, 1);
  judge.look();
  assert.ok(judge.isStale);
  advance(t, 21_000);
  judge.look();
  assert.match(violations(), /still open under a view that has ended/);
});

test("watch judge: an error other than 410 fails", () => {
  const { judge, tally } = judgeOf(viewAt(0));
  const gone = { ...event("ERROR", "t0"), object: { ...event("ERROR", "t0").object, code: 410 } };
  assert.equal(judge.take(gone), undefined);
  assert.deepEqual([tally.watchesExpired, tally.report().violations], [1, 0]);
  judge.take({ ...gone, object: { ...gone.object, code: 500 } });
  assert.equal(tally.report().violations, 1);
});
