import assert from "node:assert/strict";
import { test } from "node:test";
import { CtrlmeshError } from "#api/errors";
import { group, labels } from "#api/names";
import { MemoryClient } from "./memory-client.ts";
import { namespaceLister, shardingConfigLister } from "./webhook-listers.ts";

const { signal } = new AbortController();
const namespaces = { group: "", version: "v1", resource: "namespaces", namespaced: false };
const configs = { group, version: "v1alpha1", resource: "shardingconfigs", namespaced: true };

const config = (name: string, namespace: string, spec: object) => ({
  apiVersion: `${group}/v1alpha1`,
  kind: "ShardingConfig",
  metadata: { name, namespace },
  spec,
});
const spec = {
  selector: { matchLabels: { [labels.podName]: "op-0" } },
  limits: [{ relateResources: [{ apiGroups: [""], resources: ["pods"] }] }],
};

test("namespace lister: a decision about a pod reads the API server, not the copy that may lag", async () => {
  const client = new MemoryClient();
  const lister = namespaceLister(client, { get: () => undefined });
  assert.equal(await lister.read("team", signal), undefined);
  await client.create(namespaces, { metadata: { name: "team", labels: { a: "b" } } });
  assert.deepEqual(await lister.read("team", signal), { name: "team", labels: { a: "b" }, annotations: {} });
  assert.equal(lister.cached("team"), undefined);
  client.before = () => {
    throw new CtrlmeshError("API_UNREACHABLE", { what: "away" });
  };
  await assert.rejects(lister.read("team", signal), { code: "API_UNREACHABLE" });
});

test("ShardingConfig lister: one that can't be read is told apart, and other namespaces' are not seen", async () => {
  const client = new MemoryClient();
  await client.create(configs, config("a", "team", spec));
  await client.create(configs, config("broken", "team", { limits: 7 }));
  await client.create(configs, config("b", "team-two", spec));
  const found = await shardingConfigLister(client).read("team", signal);
  assert.deepEqual(
    found.configs.map(({ metadata }) => metadata.name),
    ["a"],
  );
  assert.equal(found.unreadable[0]?.name, "broken");
  assert.match(found.unreadable[0]?.problem ?? "", /limits/);
});
