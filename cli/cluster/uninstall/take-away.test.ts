import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubeConnection } from "#kube/client/client";
import { MemoryApi } from "#kube/client/memory-api";
import { Progress } from "../../progress.ts";
import type { ClusterSession } from "../connection.ts";
import { removeRemains, stopManager } from "./take-away.ts";

const namespace = "ctrlmesh";

function session(api: MemoryApi): ClusterSession {
  // Only calls of a client are made here, none of those that a connection has beside them.
  const client = api as unknown as KubeConnection;
  return { client, signal: AbortSignal.timeout(10_000), progress: new Progress(() => undefined) };
}

const managerPod = (name: string, phase: string) => ({
  metadata: { namespace, name, labels: { "control-plane": "ctrlmesh" } },
  status: { phase },
});

test("uninstall: the manager has ended when its last replica has, not when the first gave its lease back", async () => {
  const api = new MemoryApi();
  api.put("leases", { metadata: { namespace, name: "ctrlmesh-manager" }, spec: { holderIdentity: "" } });
  api.put("pods", managerPod("evicted", "Failed"));
  await stopManager({ namespace }, session(api), 100);
  api.put("pods", managerPod("next", "Running"));
  await assert.rejects(stopManager({ namespace }, session(api), 100), /next goes on/);
});

test("uninstall: ConfigMaps of somebody else that are called as ours stay; what tells where ours are goes last", async () => {
  const api = new MemoryApi();
  const labels = { "ctrlmesh.kusionstack.io/watching": "true" };
  api.put("configmaps", { metadata: { namespace: "demo", name: "fake-kubeconfig", labels } });
  api.put("configmaps", { metadata: { namespace: "theirs", name: "fake-kubeconfig" } });
  api.put("secrets", { metadata: { namespace, name: "ctrlmesh-ca" } });
  api.put("managerstates", { metadata: { name: "ctrlmesh-manager" } });
  await removeRemains({ namespace }, session(api));
  assert.equal(api.peek("configmaps", "fake-kubeconfig", "demo"), undefined);
  assert.ok(api.peek("configmaps", "fake-kubeconfig", "theirs"));
  assert.equal(api.calls.at(-1), "delete managerstates ctrlmesh-manager");
});
