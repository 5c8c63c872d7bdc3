import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "#kube/client/eventually";
import { FakeClock } from "#runtime/fake-clock";
import { silentLog as log } from "#runtime/log";
import { discover } from "./discovery.ts";
import { startResourceCatalog } from "./resources.ts";
import { serve, testCluster } from "./testing-cluster.ts";

const signal = AbortSignal.timeout(20_000);
const names = (resources: readonly { group: string; version: string; resource: string }[]) =>
  resources.map(({ group, version, resource }) => `${group}/${version}/${resource}`);

test("discovery: aggregated documents are read with scope, verbs, status and stale servers", async () => {
  const api = testCluster();
  const resource = (name: string, scope: string, subresource?: string) => ({
    resource: name,
    responseKind: { kind: name },
    scope,
    verbs: ["list", "watch"],
    ...(subresource === undefined ? {} : { subresources: [{ subresource }] }),
  });
  const list = (name: string, versions: unknown[]) => ({
    kind: "APIGroupDiscoveryList",
    items: [{ metadata: name === "" ? {} : { name }, versions }],
  });
  api.documents.set(
    "/api",
    list("", [{ version: "v1", resources: [resource("pods", "Namespaced", "status")] }]),
  );
  const stale = { version: "v1beta1", freshness: "Stale" };
  api.documents.set("/apis", list("apps", [{ version: "v1", resources: [resource("x", "Cluster")] }, stale]));
  const found = await discover(api, { signal });
  assert.deepEqual(names(found.resources), ["/v1/pods", "apps/v1/x"]);
  assert.deepEqual(found.unknown, ["apps/v1beta1"]);
  assert.deepEqual(
    found.resources.map(({ namespaced, hasStatus }) => [namespaced, hasStatus]),
    [
      [true, true],
      [false, false],
    ],
  );
});

test("discovery: an answer without any resource is refused, not believed", async () => {
  const api = testCluster();
  api.documents.set("/api/v1", { resources: [] });
  await assert.rejects(discover(api, { signal }), { code: "MALFORMED_RESPONSE" });
});

test("resource catalog: a group whose server is away keeps its kinds", async () => {
  const api = testCluster(["demo.example.com"]);
  serve(api, "demo.example.com", { things: "Thing" });
  const clock = new FakeClock();
  const deps = { client: api, clock, log, random: () => 0 };
  await using catalog = startResourceCatalog({ ...deps, namespace: "ctrlmesh" });
  await catalog.synced(signal);
  assert.equal(names(catalog.served()).includes("demo.example.com/v1/things"), true);
  api.documents.delete("/apis/demo.example.com/v1");
  const asked = () => api.calls.filter((call) => call.includes("raw /apis/demo.example.com/v1")).length;
  await clock.advance(300_000);
  await eventually(() => asked() === 2, "the second discovery");
  await clock.advance(1000);
  assert.equal(names(catalog.served()).includes("demo.example.com/v1/things"), true);
});

test("resource catalog: a kind is gone with its CRD at once, though discovery still names it", async () => {
  const api = testCluster(["demo.example.com"]);
  serve(api, "demo.example.com", { things: "Thing" });
  const crds = { group: "", version: "v1", resource: "customresourcedefinitions", namespaced: false };
  const name = "things.demo.example.com";
  api.put("customresourcedefinitions", { metadata: { name } });
  const deps = { client: api, clock: new FakeClock(), log, random: () => 0 };
  await using catalog = startResourceCatalog({ ...deps, namespace: "ctrlmesh" });
  await catalog.synced(signal);
  assert.deepEqual(catalog.ending(), []);
  api.put("customresourcedefinitions", { metadata: { name, deletionTimestamp: "2030-01-01T00:00:00Z" } });
  await eventually(() => catalog.ending().length === 1, "the CRD's end");
  assert.deepEqual(catalog.ending(), [{ group: "demo.example.com", resource: "things" }]);
  await api.delete(crds, { name }, { signal });
  await eventually(
    () => !names(catalog.served()).includes("demo.example.com/v1/things"),
    "the kind to be gone",
  );
  await deps.clock.advance(12_000);
  assert.equal(names(catalog.served()).includes("demo.example.com/v1/things"), false);
});
