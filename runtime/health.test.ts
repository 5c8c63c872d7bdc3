import assert from "node:assert/strict";
import { test } from "node:test";
import { Health, renderHealth } from "./health.ts";

test("health: one failing check makes the whole not ready, and its reason is told", () => {
  const health = new Health();
  health.addReadyCheck("listener", () => undefined);
  health.addReadyCheck("snapshot", () => "no snapshot from the manager yet");
  const report = health.report("ready");
  assert.equal(report.ok, false);
  assert.deepEqual(renderHealth(report, "text"), {
    status: 503,
    contentType: "text/plain; charset=utf-8",
    body: "[+]listener ok\n[-]snapshot: no snapshot from the manager yet\nfailed\n",
  });
  assert.deepEqual(JSON.parse(renderHealth(report, "json").body), {
    ok: false,
    checks: [
      { name: "listener", ok: true },
      { name: "snapshot", ok: false, reason: "no snapshot from the manager yet" },
    ],
  });
});

test("health: started passes with the first readiness and stays, ready does not", () => {
  const health = new Health();
  let reason: string | undefined = "not yet";
  health.addReadyCheck("snapshot", () => reason);
  assert.equal(health.report("started").ok, false);
  reason = undefined;
  assert.equal(health.report("started").ok, true);
  reason = "draining";
  assert.equal(health.report("started").ok, true);
  assert.equal(health.report("ready").ok, false);
});

test("health: a readiness check does not touch liveness", () => {
  const health = new Health();
  health.addReadyCheck("snapshot", () => "none");
  assert.equal(health.report("live").ok, true);
  health.addLiveCheck("loop", () => "stuck");
  assert.equal(health.report("live").ok, false);
});
