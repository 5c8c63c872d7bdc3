import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import { Health } from "#runtime/health";
import { createMetrics } from "#runtime/metrics";
import { AdminServer } from "./admin.ts";

async function listening() {
  const health = new Health();
  const metrics = createMetrics();
  const admin = await AdminServer.listen({ host: "127.0.0.1", port: 0, health, metrics });
  const get = (path: string, init?: RequestInit) => fetch(`http://127.0.0.1:${admin.port}${path}`, init);
  return { health, metrics, admin, get };
}

test("admin: readiness answers 503 with the reason, then 200; liveness is not touched", async () => {
  const { health, admin, get } = await listening();
  await using _ = admin;
  let reason: string | undefined = "waiting for the first snapshot";
  health.addReadyCheck("snapshot", () => reason);
  const refused = await get("/readyz");
  assert.equal(refused.status, 503);
  assert.match(await refused.text(), /\[-\]snapshot: waiting for the first snapshot/);
  assert.equal((await get("/healthz")).status, 200);
  assert.equal((await get("/startupz")).status, 503);
  reason = undefined;
  assert.deepEqual(await (await get("/readyz?json")).json(), {
    ok: true,
    checks: [{ name: "snapshot", ok: true }],
  });
  assert.equal((await get("/startupz")).status, 200);
});

test("D41: metrics come in the Prometheus text format", async () => {
  const { metrics, admin, get } = await listening();
  await using _ = admin;
  metrics.counter({ name: "ctrlmesh_proxy_dials_total", help: "Dials." }).add(3);
  const response = await get("/metrics");
  assert.match(response.headers.get("content-type") ?? "", /version=0\.0\.4/);
  assert.match(await response.text(), /^ctrlmesh_proxy_dials_total 3$/m);
});

test("D59: no profiling and nothing else answers on the pod's address", async () => {
  const { admin, get } = await listening();
  await using _ = admin;
  for (const path of ["/", "/debug/pprof/", "/debug/pprof/profile", "/constructor", "//readyz", "/config"]) {
    const response = await get(path);
    assert.equal(response.status, 404, path);
    await response.text();
  }
  const posted = await get("/readyz", { method: "POST", body: "x" });
  assert.equal(posted.status, 405);
  await posted.text();
});

test("admin: a request that is no HTTP is answered 400 and closed", async () => {
  const { admin } = await listening();
  await using _ = admin;
  const answered = await new Promise<string>((resolve, reject) => {
    let text = "";
    const socket = connect(admin.port, "127.0.0.1", () => socket.write("hello\r\n\r\n"));
    socket.on("data", (chunk) => {
      text += chunk;
    });
    socket.on("close", () => resolve(text));
    socket.on("error", reject);
  });
  assert.match(answered, /^HTTP\/1\.1 400 /);
});

test("admin: a port in use is told with the address", async () => {
  const { admin } = await listening();
  await using _ = admin;
  const health = new Health();
  const again = AdminServer.listen({ host: "127.0.0.1", port: admin.port, health, metrics: createMetrics() });
  await assert.rejects(again, { code: "PORT_IN_USE", message: new RegExp(`127\\.0\\.0\\.1:${admin.port}`) });
});
