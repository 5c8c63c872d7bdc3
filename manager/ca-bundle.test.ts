import assert from "node:assert/strict";
import { test } from "node:test";
import { CtrlmeshError } from "#api/errors";
import type { KubernetesObject } from "#api/meta";
import { FakeClock } from "#runtime/fake-clock";
import { silentLog } from "#runtime/log";
import { CaBundles } from "./ca-bundle.ts";
import { MemoryClient } from "./memory-client.ts";
import { textsOfConfigMap } from "./secret-texts.ts";

const { signal } = new AbortController();
const configMaps = { group: "", version: "v1", resource: "configmaps", namespaced: true };
const pem = (text: string) => `-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----\n`;

async function bench() {
  const client = new MemoryClient();
  const clock = new FakeClock();
  const state = { mesh: pem("MESH"), namespaces: ["team-a"] };
  const deps = {
    client,
    clock,
    log: silentLog,
    meshBundlePem: () => state.mesh,
    clusterCaPem: undefined as string | undefined,
    namespaces: () => state.namespaces,
  };
  await client.create(configMaps, rootCa("team-a", pem("CLUSTER")));
  return { client, clock, state, deps };
}

const rootCa = (namespace: string, text: string): KubernetesObject => ({
  metadata: { name: "kube-root-ca.crt", namespace },
  data: { "ca.crt": text },
});
const texts = (client: MemoryClient, name: string, namespace = "team-a") => {
  const found = client.peek("configmaps", name, namespace);
  assert.ok(found, `no ConfigMap ${namespace}/${name}`);
  return Object.fromEntries(textsOfConfigMap(found));
};

test("CA bundle: it holds the cluster's CA and the mesh CA together and each alone", async () => {
  const { client, deps } = await bench();
  await new CaBundles(deps).ensure("team-a", signal);
  assert.deepEqual(texts(client, "ctrlmesh-ca"), {
    "ca.crt": pem("CLUSTER") + pem("MESH"),
    "cluster-ca.crt": pem("CLUSTER"),
    "mesh-ca.crt": pem("MESH"),
  });
});

test("D68: the kubeconfig of a namespace names that namespace, the pod's own token and TLS on loopback", async () => {
  const { client, deps } = await bench();
  await new CaBundles(deps).ensure("team-a", signal);
  const kubeconfig = JSON.parse(texts(client, "fake-kubeconfig")["fake-kubeconfig.yaml"] ?? "");
  assert.equal(kubeconfig.contexts[0].context.namespace, "team-a");
  assert.equal(kubeconfig.clusters[0].cluster.server, "https://127.0.0.1:5443");
  assert.equal(kubeconfig.clusters[0].cluster["insecure-skip-tls-verify"], undefined);
  const tokenFile = "/var/run/secrets/kubernetes.io/serviceaccount/token";
  assert.deepEqual(kubeconfig.users[0].user, { tokenFile, "token-file": tokenFile });
});

test("CA bundle: one that is right is not written again", async () => {
  const { client, deps } = await bench();
  const bundles = new CaBundles(deps);
  await bundles.ensure("team-a", signal);
  const { writes } = client;
  await bundles.ensure("team-a", signal);
  assert.equal(client.writes, writes);
});

test("CA bundle: a kubeconfig that somebody changed, such as the original's over plain HTTP, is put right", async () => {
  const { client, deps } = await bench();
  await client.create(configMaps, {
    metadata: { name: "fake-kubeconfig", namespace: "team-a" },
    data: { "fake-kubeconfig.yaml": "server: http://127.0.0.1:5443" },
  });
  await new CaBundles(deps).ensure("team-a", signal);
  assert.match(texts(client, "fake-kubeconfig")["fake-kubeconfig.yaml"] ?? "", /https:\/\/127\.0\.0\.1:5443/);
});

test("CA bundle: it follows both rotations within a minute, and at once when woken", async () => {
  const { client, clock, state, deps } = await bench();
  await using bundles = new CaBundles(deps);
  bundles.start();
  await clock.whenWaiting();
  const published = client.peek("configmaps", "kube-root-ca.crt", "team-a");
  await client.update(configMaps, { ...published, data: { "ca.crt": pem("ROTATED") } });
  await clock.advance(60_000);
  await clock.whenWaiting();
  assert.equal(texts(client, "ctrlmesh-ca")["ca.crt"], pem("ROTATED") + pem("MESH"));
  state.mesh = pem("NEXT") + pem("MESH");
  bundles.wake();
  await until(() => texts(client, "ctrlmesh-ca")["ca.crt"]?.includes("NEXT") === true);
});

test("CA bundle: a namespace that fails does not hold up the others", async () => {
  const { client, clock, state, deps } = await bench();
  state.namespaces = ["gone", "team-a"];
  client.before = (_verb, _kind, { namespace }) => {
    if (namespace === "gone") throw new CtrlmeshError("API_FORBIDDEN", { what: "being terminated" });
  };
  await using bundles = new CaBundles(deps);
  bundles.start();
  await clock.whenWaiting();
  assert.ok(texts(client, "ctrlmesh-ca"));
});

test("CA bundle: without a published CA the manager's own counts, and without either pods are refused", async () => {
  const { client, deps } = await bench();
  await new CaBundles({ ...deps, clusterCaPem: pem("FILE") }).ensure("team-b", signal);
  assert.equal(texts(client, "ctrlmesh-ca", "team-b")["cluster-ca.crt"], pem("FILE"));
  await assert.rejects(new CaBundles(deps).ensure("team-c", signal), {
    code: "INVALID_SETTING",
    message:
      /team-c\/kube-root-ca\.crt: the CA of the cluster is not known; give the manager --cluster-ca-file/,
  });
});

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 5000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error("the bundle was not written within 5 s");
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test("CA bundle: a namespace whose cluster CA is published later has its bundle soon after, not a minute later", async () => {
  const { client, clock, state, deps } = await bench();
  state.namespaces = ["team-b"];
  await using bundles = new CaBundles(deps);
  bundles.start();
  await clock.advance(0);
  assert.equal(client.peek("configmaps", "ctrlmesh-ca", "team-b"), undefined);
  await client.create(configMaps, rootCa("team-b", pem("CLUSTER")));
  await clock.advance(2_000);
  assert.equal(texts(client, "ctrlmesh-ca", "team-b")["ca.crt"], pem("CLUSTER") + pem("MESH"));
});
