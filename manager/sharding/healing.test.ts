import assert from "node:assert/strict";
import { test } from "node:test";
import { bucketOf } from "#api/bucket";
import { eventually } from "#kube/client/eventually";
import { type MemoryApi, refusal } from "#kube/client/memory-api";
import { systemClock } from "#runtime/clock";
import { FakeClock } from "#runtime/fake-clock";
import { silentLog as log } from "#runtime/log";
import { startHealing } from "./healing.ts";
import { startLabelAudit } from "./label-audit.ts";
import { startResourceCatalog } from "./resources.ts";
import { testSettings as settings, testCluster, testKind } from "./testing-cluster.ts";

const signal = AbortSignal.timeout(20_000);
const configMaps = testKind("configmaps", "ConfigMap");
const secrets = testKind("secrets", "Secret");
const { hash, namespace, control } = settings.shardLabels;
const deps = (client: MemoryApi, clock = new FakeClock()) => ({ client, clock, log, random: () => 0 });
const noCatalog = {
  namespacedLabelable: () => [],
  served: () => [],
  onChange: () => ({ [Symbol.dispose]() {} }),
};
const labelsOf = (api: MemoryApi, name: string, ns: string) =>
  api.peek("configmaps", name, ns)?.metadata?.labels;
const put = (api: MemoryApi, name: string, ns: string, labels: Record<string, string> = {}) =>
  api.put("configmaps", { metadata: { name, namespace: ns, labels }, data: { kept: "yes" } });

test("healing: unlabelled objects get the three labels of their namespace and keep everything else", async () => {
  const api = testCluster();
  put(api, "a", "team-a", { app: "x" });
  await using healing = startHealing({ ...deps(api), catalog: noCatalog, settings });
  healing.want([configMaps]);
  await eventually(() => healing.state(configMaps).complete, "the coverage of configmaps");
  assert.deepEqual(api.peek("configmaps", "a", "team-a")?.data, { kept: "yes" });
  assert.deepEqual(labelsOf(api, "a", "team-a"), {
    app: "x",
    [hash]: String(bucketOf("team-a", "murmur3")),
    [namespace]: "team-a",
    [control]: "true",
  });
});

test("healing: an object that is labelled is never written", async () => {
  const api = testCluster();
  put(api, "a", "team-a", { [hash]: "1" });
  await using healing = startHealing({ ...deps(api), catalog: noCatalog, settings });
  healing.want([configMaps]);
  await eventually(() => healing.state(configMaps).complete, "the coverage of configmaps");
  assert.equal(
    api.calls.some((call) => call.startsWith("patch")),
    false,
  );
});

test("D46: objects of exempt namespaces are left alone and hold nothing up", async () => {
  const api = testCluster();
  for (const ns of settings.exemptNamespaces) put(api, "system", ns);
  put(api, "a", "team-a");
  await using healing = startHealing({ ...deps(api), catalog: noCatalog, settings });
  healing.want([configMaps]);
  await eventually(() => healing.state(configMaps).complete, "the coverage of configmaps");
  assert.deepEqual(labelsOf(api, "system", "kube-system"), {});
  assert.deepEqual(
    api.calls.filter((call) => call.startsWith("patch")),
    ["patch configmaps a"],
  );
});

test("D45: objects that are created later are labelled too, without a restart", async () => {
  const api = testCluster();
  await using healing = startHealing({ ...deps(api), catalog: noCatalog, settings });
  healing.want([configMaps]);
  await eventually(() => healing.state(configMaps).complete, "the coverage of configmaps");
  put(api, "late", "team-b");
  await eventually(() => labelsOf(api, "late", "team-b")?.[hash] !== undefined, "the label of the late one");
});

test("D45: a kind that the ConfigMap names later is labelled without a restart", async () => {
  const api = testCluster();
  put(api, "a", "team-a");
  await using catalog = startResourceCatalog({ ...deps(api, undefined), namespace: "ctrlmesh" });
  await using healing = startHealing({ ...deps(api), catalog, settings });
  await catalog.synced(signal);
  assert.deepEqual(healing.kinds(), []);
  const config = { "resource-config": "groupVersionKinds: {v1: [ConfigMap]}" };
  const metadata = { name: "ctrlmesh-sharding-resource", namespace: "ctrlmesh" };
  api.put("configmaps", { metadata, data: config });
  await eventually(() => labelsOf(api, "a", "team-a")?.[hash] !== undefined, "the label");
  api.put("configmaps", { metadata, data: { "resource-config": "groupVersionKinds: {v1: [oops]}" } });
  await eventually(() => catalog.findings().length === 1, "the finding");
  assert.match(catalog.findings()[0]?.what ?? "", /"oops" is no kind/);
  assert.deepEqual(
    catalog.namespacedLabelable().map(({ kind }) => kind),
    ["ConfigMap"],
    "the last good one stays",
  );
});

test("D57: coverage is not complete before a consistent list after want was empty", async () => {
  const api = testCluster();
  put(api, "a", "team-a");
  const clock = new FakeClock();
  await using healing = startHealing({ ...deps(api, clock), catalog: noCatalog, settings });
  assert.deepEqual(healing.state(configMaps), { complete: false, remaining: undefined, stuck: [] });
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  api.before = (verb) => (verb === "patch" ? held : undefined);
  healing.want([configMaps]);
  await eventually(() => healing.state(configMaps).remaining === 1, "one that remains");
  assert.equal(healing.state(configMaps).complete, false);
  const lists = () => api.calls.filter((call) => call.startsWith("list")).length;
  const before = lists();
  release();
  await eventually(() => healing.state(configMaps).complete, "the coverage");
  assert.equal(lists(), before + 1, "the confirming list");
});

test("healing: an object that refuses the patch is named with the server's reason, and the others go on", async () => {
  const api = testCluster();
  put(api, "bad", "team-a");
  put(api, "good", "team-a");
  api.before = (verb, _kind, name) => {
    if (verb === "patch" && name === "bad") throw refusal(422, "Invalid", "a webhook says no");
  };
  await using healing = startHealing({ ...deps(api), catalog: noCatalog, settings });
  healing.want([configMaps]);
  await eventually(() => healing.state(configMaps).stuck.length === 1, "the stuck one");
  await eventually(() => labelsOf(api, "good", "team-a")?.[hash] !== undefined, "the good one");
  const state = healing.state(configMaps);
  assert.deepEqual([state.complete, state.remaining], [false, 1]);
  assert.deepEqual(state.stuck, [{ namespace: "team-a", name: "bad", reason: "memory: a webhook says no" }]);
  api.before = () => {};
  api.put("configmaps", { ...api.peek("configmaps", "bad", "team-a"), data: { changed: "1" } });
  await eventually(() => healing.state(configMaps).complete, "the stuck one to be labelled when it changed");
});

test("healing: when what refused many objects is gone, the first that is asked again brings all of them", async () => {
  const api = testCluster();
  const names = Array.from({ length: 100 }, (_, index) => `object-${index}`);
  for (const name of names) put(api, name, "team-a");
  const missing = refusal(403, "Forbidden", "the manager may not patch configmaps");
  api.before = (verb) => {
    if (verb === "patch") throw missing;
  };
  const clock = new FakeClock();
  await using healing = startHealing({ ...deps(api, clock), catalog: noCatalog, settings });
  healing.want([configMaps]);
  await eventually(() => healing.state(configMaps).stuck.length === 100, "all of them stuck");
  const patches = () => api.calls.filter((call) => call.startsWith("patch")).length;
  assert.equal(patches(), 100);
  api.before = () => {};
  // The pause of the first one; that of the last one, which knew of 100, is 50 s.
  await clock.advance(5_000);
  await eventually(() => healing.state(configMaps).complete, "all to be labelled");
  assert.equal(patches(), 200, "each was asked once more");
});

test("healing: a server error is no refusal, the object is tried again", async () => {
  const api = testCluster();
  put(api, "a", "team-a");
  const clock = new FakeClock();
  let failures = 2;
  api.before = (verb) => {
    if (verb === "patch" && failures-- > 0) throw refusal(500, "InternalError", "etcd is away");
  };
  await using healing = startHealing({ ...deps(api, clock), catalog: noCatalog, settings });
  healing.want([configMaps]);
  for (const left of [1, 0]) {
    await eventually(() => failures === left && clock.nextDueInMs === 100, "the repetition");
    assert.deepEqual(healing.state(configMaps).stuck, []);
    await clock.advance(100);
  }
  await eventually(() => healing.state(configMaps).complete, "the coverage");
});

test("healing: a kind that is no longer wanted is followed no more, and starts anew when it is again", async () => {
  const api = testCluster();
  await using healing = startHealing({ ...deps(api), catalog: noCatalog, settings });
  healing.want([configMaps, secrets]);
  await eventually(() => healing.state(configMaps).complete, "the coverage");
  healing.want([secrets]);
  assert.equal(healing.state(configMaps).complete, false);
  assert.deepEqual(
    healing.kinds().map(({ resource }) => resource),
    ["secrets"],
  );
});

test("D56: no label on a pod decides whether its objects are found; every unlabelled object is", async () => {
  const api = testCluster();
  put(api, "no-watching-label", "team-a");
  put(api, "with-watching-label", "team-a", { "ctrlmesh.kusionstack.io/watching": "true" });
  await using healing = startHealing({ ...deps(api), catalog: noCatalog, settings });
  healing.want([configMaps]);
  await eventually(() => healing.state(configMaps).complete, "the coverage");
  for (const name of ["no-watching-label", "with-watching-label"]) {
    assert.notEqual(labelsOf(api, name, "team-a")?.[hash], undefined);
  }
});

test("label audit: labels of another namespace are reported, not corrected until somebody says so", async () => {
  const api = testCluster();
  const right = { [hash]: String(bucketOf("team-a", "murmur3")), [namespace]: "team-a", [control]: "true" };
  put(api, "right", "team-a", right);
  put(api, "restored", "team-a", { ...right, [hash]: "99" });
  put(api, "copied", "team-a", { ...right, [namespace]: "team-b" });
  const namespaces = {
    list: () => [{ metadata: { name: "team-a" } }],
    get: () => ({ metadata: { name: "team-a" } }),
  };
  const healing = { kinds: () => [configMaps] };
  await using audit = startLabelAudit({ ...deps(api), clock: systemClock, namespaces, healing, settings });
  await eventually(() => audit.wrong().length === 2, "two wrong ones");
  assert.deepEqual(
    audit
      .wrong()
      .map(({ name }) => name)
      .sort(),
    ["copied", "restored"],
  );
  assert.equal(labelsOf(api, "restored", "team-a")?.[hash], "99");
  for (const found of audit.wrong()) await audit.correct(found, signal);
  assert.deepEqual(labelsOf(api, "restored", "team-a"), right);
  assert.deepEqual(labelsOf(api, "copied", "team-a"), right);
  assert.deepEqual(audit.wrong(), []);
});
