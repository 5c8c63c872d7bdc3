import assert from "node:assert/strict";
import { test } from "node:test";
import { bucketOf } from "#api/bucket";
import { eventually } from "#kube/client/eventually";
import { startInformer } from "#kube/client/informer";
import { MemoryApi } from "#kube/client/memory-api";
import { FakeClock } from "#runtime/fake-clock";
import { silentLog as log } from "#runtime/log";
import { keepNamespaceLabels, namespaceKind } from "./namespaces.ts";
import { testSettings as settings } from "./testing-cluster.ts";

const signal = AbortSignal.timeout(20_000);
const { hash, namespace, control } = settings.shardLabels;

async function labelled(api: MemoryApi, options: Partial<Parameters<typeof keepNamespaceLabels>[0]> = {}) {
  const deps = { client: api, clock: new FakeClock(), log, random: () => 0 };
  const stop = new AbortController();
  const namespaces = startInformer(api, { kind: namespaceKind }, deps);
  await namespaces.synced(signal);
  const running = keepNamespaceLabels({ ...deps, namespaces, settings, signal: stop.signal, ...options });
  return {
    labels: (name: string) => api.peek("namespaces", name)?.metadata?.labels ?? {},
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await running;
      await namespaces[Symbol.asyncDispose]();
    },
  };
}

test("namespace labels: present and new namespaces get the labels of their name, under the keys of the settings", async () => {
  const api = new MemoryApi();
  api.put("namespaces", { metadata: { name: "team-a", labels: { kept: "1" } } });
  const shardLabels = { hash: "x/h", namespace: "x/n", control: "x/c" };
  await using manager = await labelled(api, { settings: { ...settings, shardLabels, hash: "additive" } });
  await eventually(() => "x/h" in manager.labels("team-a"), "the labels of team-a");
  assert.deepEqual(manager.labels("team-a"), { kept: "1", "x/h": "21", "x/n": "team-a", "x/c": "true" });
  api.put("namespaces", { metadata: { name: "abc" } });
  await eventually(() => manager.labels("abc")["x/h"] === "6", "the labels of abc");
});

test("D46: exempt namespaces are never labelled, whatever happens to them", async () => {
  const api = new MemoryApi();
  for (const name of settings.exemptNamespaces) api.put("namespaces", { metadata: { name } });
  await using manager = await labelled(api);
  api.put("namespaces", { metadata: { name: "kube-system", labels: { updated: "1" } } });
  api.put("namespaces", { metadata: { name: "team-a" } });
  await eventually(() => hash in manager.labels("team-a"), "the labels of team-a");
  assert.deepEqual(manager.labels("kube-system"), { updated: "1" });
  assert.deepEqual(
    api.calls.filter((call) => call.startsWith("patch")),
    ["patch namespaces team-a"],
  );
});

test("namespace labels: a terminating namespace is left alone", async () => {
  const api = new MemoryApi();
  api.put("namespaces", { metadata: { name: "going", deletionTimestamp: "2030-01-01T00:00:00Z" } });
  api.put("namespaces", { metadata: { name: "team-a" } });
  await using manager = await labelled(api);
  await eventually(() => hash in manager.labels("team-a"), "the labels of team-a");
  assert.deepEqual(manager.labels("going"), {});
});

test("namespace labels: a wrong bucket is corrected from the name, and the objects are to be audited", async () => {
  const api = new MemoryApi();
  const right = { [hash]: String(bucketOf("team-a", "murmur3")), [namespace]: "team-a", [control]: "true" };
  api.put("namespaces", { metadata: { name: "team-a", labels: { ...right, [hash]: "99" } } });
  const corrected: string[] = [];
  await using manager = await labelled(api, { onCorrected: (name) => corrected.push(name) });
  await eventually(() => corrected.length === 1, "the correction");
  assert.deepEqual(manager.labels("team-a"), right);
  assert.deepEqual(corrected, ["team-a"]);
});

test("namespace labels: labels that somebody takes away come back", async () => {
  const api = new MemoryApi();
  api.put("namespaces", { metadata: { name: "team-a" } });
  await using manager = await labelled(api);
  await eventually(() => hash in manager.labels("team-a"), "the labels");
  api.put("namespaces", { metadata: { name: "team-a", labels: {} } });
  await eventually(() => manager.labels("team-a")[control] === "true", "the labels again");
});
