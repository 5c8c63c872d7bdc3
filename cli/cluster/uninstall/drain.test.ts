import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubeConnection } from "#kube/client/client";
import { MemoryApi } from "#kube/client/memory-api";
import { Progress } from "../../progress.ts";
import type { ClusterSession } from "../connection.ts";
import { drainNamespace, notDrainable, ownersOf, ownerText } from "./drain.ts";
import type { InjectedPod } from "./injected-pods.ts";

const pod = (name: string, more: Partial<InjectedPod> = {}): InjectedPod => ({
  namespace: "demo",
  name,
  shard: "left",
  asksItself: false,
  owner: { kind: "StatefulSet", name: "operator" },
  ...more,
});

function session(api: MemoryApi): ClusterSession {
  // Only calls of a client are made here, none of those that a connection has beside them.
  const client = api as unknown as KubeConnection;
  return { client, signal: AbortSignal.timeout(10_000), progress: new Progress(() => undefined) };
}

const controlledBy = (kind: string, name: string) => [
  { apiVersion: "apps/v1", kind, name, uid: `uid of ${name}`, controller: true },
];

test("drain: pods that nothing makes anew, that nothing scales, or that ask for the proxy themselves stay", () => {
  const pods = [
    pod("good"),
    pod("bare", { owner: undefined }),
    pod("daemon", { owner: { kind: "DaemonSet", name: "d" } }),
    pod("job", { owner: { kind: "Job", name: "j" } }),
    pod("labelled", { asksItself: true }),
  ];
  assert.deepEqual(
    notDrainable(pods).map(({ name }) => name),
    ["bare", "daemon", "job", "labelled"],
  );
});

test("drain: the workload of a ReplicaSet is its Deployment, and one that broke off is taken up again", async () => {
  const api = new MemoryApi();
  api.put("replicasets", {
    metadata: { namespace: "demo", name: "web-5f", ownerReferences: controlledBy("Deployment", "web") },
  });
  api.put("replicasets", { metadata: { namespace: "demo", name: "alone" } });
  const annotations = { "ctrlmesh.kusionstack.io/drained-replicas": "3" };
  api.put("statefulsets", { metadata: { namespace: "other", name: "half-done", annotations } });
  api.put("statefulsets", { metadata: { namespace: "other", name: "untouched" } });
  api.put("replicasets", { metadata: { namespace: "other", name: "bare", annotations } });
  // Its Deployment handed the annotation down, and was scaled up again since.
  const ownerReferences = controlledBy("Deployment", "done");
  api.put("replicasets", { metadata: { namespace: "other", name: "done-7c", annotations, ownerReferences } });
  const pods = [
    pod("a", { owner: { kind: "ReplicaSet", name: "web-5f" } }),
    pod("b", { owner: { kind: "ReplicaSet", name: "web-5f" } }),
    pod("c", { owner: { kind: "ReplicaSet", name: "alone" } }),
  ];
  const owners = await ownersOf(pods, session(api));
  assert.deepEqual(owners.map(ownerText), [
    "Deployment demo/web",
    "ReplicaSet demo/alone",
    "StatefulSet other/half-done",
    "ReplicaSet other/bare",
  ]);
});

test("drain: all workloads are down before the opt-in goes, and each comes back with the replicas it had", async () => {
  const api = new MemoryApi();
  const enableProxy = { "ctrlmesh.kusionstack.io/enable-proxy": "true" };
  api.put("namespaces", { metadata: { name: "demo", annotations: enableProxy, labels: enableProxy } });
  const annotations = { "ctrlmesh.kusionstack.io/drained-replicas": "5" };
  api.put("statefulsets", {
    metadata: { namespace: "demo", name: "one" },
    spec: { replicas: 2 },
    status: { readyReplicas: 2 },
  });
  // An earlier drain broke off here: what it remembered counts, not the nothing that it left.
  api.put("statefulsets", {
    metadata: { namespace: "demo", name: "two", annotations },
    spec: { replicas: 0 },
    status: { readyReplicas: 5 },
  });
  const order: string[] = [];
  api.before = (verb, kind, name) => {
    if (verb === "patch") order.push(`${kind.resource} ${name}`);
  };
  const owners = ["one", "two"].map((name) => ({ kind: "StatefulSet", namespace: "demo", name }) as const);
  await drainNamespace("demo", owners, session(api), 5_000);
  const sets = ["one", "two"].map((name) => api.peek("statefulsets", name, "demo"));
  assert.deepEqual(
    sets.map((each) => each?.spec),
    [{ replicas: 2 }, { replicas: 5 }],
  );
  assert.deepEqual(
    sets.map((each) => Object.keys(each?.metadata?.annotations ?? {})),
    [[], []],
  );
  const { labels, annotations: notes } = api.peek("namespaces", "demo")?.metadata ?? {};
  assert.deepEqual([labels ?? {}, notes ?? {}], [{}, {}]);
  assert.equal(order.length, 5);
  assert.match(order[2] ?? "", /^namespaces/);
});

const injectedLabel = { "ctrlmesh.kusionstack.io/sharding-config-injected": "left" };

function withOperator(api: MemoryApi): void {
  api.put("namespaces", { metadata: { name: "demo" } });
  api.put("deployments", {
    metadata: { namespace: "demo", name: "operator" },
    spec: { replicas: 1 },
    status: { readyReplicas: 1 },
  });
}

const operator = { kind: "Deployment", namespace: "demo", name: "operator" } as const;
const injectedPod = (name: string, metadata: object, phase: string) => ({
  metadata: {
    namespace: "demo",
    name,
    labels: injectedLabel,
    ownerReferences: controlledBy("ReplicaSet", "operator-5f"),
    ...metadata,
  },
  status: { phase },
});

test("drain: an evicted pod, which no scaling takes away, holds nothing up; one on its way out does", async () => {
  const api = new MemoryApi();
  withOperator(api);
  api.put("pods", injectedPod("evicted", {}, "Failed"));
  await drainNamespace("demo", [operator], session(api), 100);
  assert.deepEqual(api.peek("deployments", "operator", "demo")?.spec, { replicas: 1 });

  api.put("pods", injectedPod("leaving", { deletionTimestamp: "2026-01-01T00:00:00Z" }, "Succeeded"));
  await assert.rejects(drainNamespace("demo", [operator], session(api), 100), /the end of demo\/leaving/);
  assert.deepEqual(api.peek("deployments", "operator", "demo")?.spec, { replicas: 0 });
});

test("drain: nothing starts beside a pod with a proxy that came while the namespace was opted out", async () => {
  const api = new MemoryApi();
  withOperator(api);
  api.before = (verb, kind) => {
    if (verb === "patch" && kind.resource === "namespaces")
      api.put("pods", injectedPod("late", {}, "Running"));
  };
  await assert.rejects(drainNamespace("demo", [operator], session(api), 100), /the end of demo\/late/);
  assert.deepEqual(api.peek("deployments", "operator", "demo")?.spec, { replicas: 0 });
});
