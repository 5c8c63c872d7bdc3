import assert from "node:assert/strict";
import { test } from "node:test";
import { readSettings } from "#runtime/settings";
import { defaultProxyResources } from "#webhook/injection-request";
import { managerSettings } from "./settings.ts";

async function proxyResourcesOf(...argv: readonly string[]): Promise<unknown> {
  const read = await readSettings({
    command: "ctrlmesh manager",
    about: "",
    table: managerSettings,
    argv,
    env: {},
  });
  assert.equal(read.kind, "settings");
  return read.settings.proxyResources;
}

test("manager settings: resources of the proxies are JSON as a container has them", async () => {
  assert.deepEqual(await proxyResourcesOf(), defaultProxyResources);
  const given = '{"requests":{"cpu":1,"memory":"100Mi"}}';
  assert.deepEqual(await proxyResourcesOf(`--proxy-resources=${given}`), {
    requests: { cpu: "1", memory: "100Mi" },
  });
  assert.deepEqual(await proxyResourcesOf("--proxy-resources={}"), {});
});

test("manager settings: resources that no container could have are refused at the start", async () => {
  for (const bad of ["{", "[]", '{"request":{}}', '{"limits":{"memory":"lots"}}']) {
    await assert.rejects(proxyResourcesOf(`--proxy-resources=${bad}`), { code: "INVALID_FLAG" }, bad);
  }
});
