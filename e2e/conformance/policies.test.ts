import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { type ControlPlane, startControlPlane } from "../cluster/control-plane.ts";
import { type Kubectl, kubectl } from "../cluster/kubectl.ts";
import { eventually } from "../flow/eventually.ts";
import { ManagerProcess } from "../flow/manager-process.ts";

/** The manager process with its own rights on a real kube-apiserver: shard labels come from admission policies. */

const root = fileURLToPath(new URL("../..", import.meta.url));
const hashLabel = "ctrlmesh.kusionstack.io/sharding-hash";

let plane: ControlPlane;
let admin: Kubectl;
let manager: ManagerProcess;
let folder: string;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "ctrlmesh-policies-"));
  plane = await startControlPlane({ controllerManager: true });
  admin = kubectl(plane.kubeconfig);
  await admin.ok(["apply", "--server-side", "-f", `${root}crds`]);
  await admin.ok(["create", "namespace", "ctrlmesh"]);
  await admin.ok(["apply", "-f", `${root}examples/install/manager-rbac.yaml`]);
  await admin.ok(["create", "namespace", "team-old"]);
  await admin.ok(["create", "configmap", "from-before", "-n", "team-old"]);
  // Kinds of a user's own are added to what the manager may label.
  await admin.ok([
    "create",
    "clusterrole",
    "label-examples",
    "--verb=list,watch,patch",
    "--resource=*.example.com",
  ]);
  await admin.ok([
    "create",
    "clusterrolebinding",
    "label-examples",
    "--clusterrole=label-examples",
    "--serviceaccount=ctrlmesh:ctrlmesh-manager",
  ]);
  const config = 'groupVersionKinds: {v1: [ConfigMap, Service], "example.com/v1": ["*"]}';
  await admin.ok([
    "create",
    "configmap",
    "ctrlmesh-sharding-resource",
    "-n",
    "ctrlmesh",
    `--from-literal=resource-config=${config}`,
  ]);
  manager = await ManagerProcess.create({
    name: "ctrlmesh-manager-0",
    kubeconfig: await managerKubeconfig(),
    folder,
  });
  await manager.start();
});

after(async () => {
  await manager?.[Symbol.asyncDispose]();
  await plane?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** A kubeconfig of the manager's service account, with its token only. */
async function managerKubeconfig(): Promise<string> {
  const token = (
    await admin.ok(["create", "token", "ctrlmesh-manager", "-n", "ctrlmesh", "--duration=2h"])
  ).trim();
  const config = JSON.parse(readFileSync(plane.kubeconfig, "utf8")) as { users: { user: unknown }[] };
  for (const entry of config.users) entry.user = { token };
  const file = join(folder, "manager.kubeconfig");
  writeFileSync(file, JSON.stringify(config), { mode: 0o600 });
  return file;
}

async function labelsOf(...args: readonly string[]): Promise<Record<string, string>> {
  const object = (await admin.json(["get", ...args])) as {
    metadata: { labels?: Record<string, string> };
  };
  return object.metadata.labels ?? {};
}

/** The policy takes effect in the API server some time after it is written: ask with objects of no matter. */
async function stampingWorks(): Promise<void> {
  let attempt = 0;
  await eventually(
    "a new ConfigMap carries the shard labels as soon as it is created",
    async () => {
      const name = `probe-${attempt++}`;
      const made = await admin.ok(["create", "configmap", name, "-n", "team-old", "-o", "json"]);
      return (JSON.parse(made) as { metadata: { labels?: object } }).metadata.labels !== undefined;
    },
    { withinMs: 60_000, detail: () => manager.log().slice(-3000) },
  );
}

test("stamping: an object gets its labels in the request that creates it, and again when they are stripped", async () => {
  await eventually(
    "the namespace is labelled",
    async () => (await labelsOf("namespace", "team-old"))[hashLabel] !== undefined,
  );
  await stampingWorks();
  const wanted = (await labelsOf("namespace", "team-old"))[hashLabel];
  const made = JSON.parse(
    await admin.ok(["create", "configmap", "fresh", "-n", "team-old", "-o", "json"]),
  ) as {
    metadata: { labels: Record<string, string> };
  };
  assert.equal(made.metadata.labels[hashLabel], wanted);
  await admin.ok(["label", "configmap", "fresh", "-n", "team-old", `${hashLabel}-`]);
  assert.equal((await labelsOf("configmap", "fresh", "-n", "team-old"))[hashLabel], wanted);
});

test("healing: an object from before the manager is labelled without anybody touching it", async () => {
  const wanted = (await labelsOf("namespace", "team-old"))[hashLabel];
  await eventually(
    "the old object is labelled",
    async () => (await labelsOf("configmap", "from-before", "-n", "team-old"))[hashLabel] === wanted,
  );
});

test("stamping: a CRD and its object in one apply are not refused because of our policy", async () => {
  for (let round = 0; round < 3; round++) {
    const plural = `widgets${round}`;
    const kind = `Widget${round}`;
    const manifest = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: ${plural}.example.com}
spec:
  group: example.com
  names: {plural: ${plural}, singular: widget${round}, kind: ${kind}, listKind: ${kind}List}
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
---
apiVersion: example.com/v1
kind: ${kind}
metadata: {name: one, namespace: team-old}
`;
    // kubectl looks its kinds up before it sends anything, so the object may need a second try: what must never
    // come is a refusal by the API server.
    await eventually(`${kind} is created`, async () => {
      const { exitCode, stderr } = await admin.run(["apply", "-f", "-"], manifest);
      assert.doesNotMatch(stderr, /denied|forbidden|ServiceUnavailable|admission/i);
      return exitCode === 0;
    });
    await eventually(
      `${kind} is labelled`,
      async () => (await labelsOf(`${plural}.example.com`, "one", "-n", "team-old"))[hashLabel] !== undefined,
      { withinMs: 60_000, detail: () => manager.log().slice(-3000) },
    );
    await admin.ok(["delete", "crd", `${plural}.example.com`]);
  }
});

test("namespaces: nobody but the manager may change their shard labels", async () => {
  await eventually("the policy is in force", async () => {
    const { exitCode, stderr } = await admin.run([
      "label",
      "namespace",
      "team-old",
      `${hashLabel}=31`,
      "--overwrite",
    ]);
    if (exitCode === 0) await admin.ok(["label", "namespace", "team-old", `${hashLabel}-`]);
    return exitCode !== 0 && stderr.includes("ctrlmesh");
  });
});

test("opt-in: the label is there as soon as kubectl annotate answers", async () => {
  await admin.ok(["create", "namespace", "demo"]);
  await eventually("the opt-in policy is in force", async () => {
    await admin.ok([
      "annotate",
      "namespace",
      "demo",
      "ctrlmesh.kusionstack.io/enable-proxy=true",
      "--overwrite",
    ]);
    const at = (await labelsOf("namespace", "demo"))["ctrlmesh.kusionstack.io/enable-proxy"];
    if (at === "true") return true;
    await admin.ok(["annotate", "namespace", "demo", "ctrlmesh.kusionstack.io/enable-proxy-"]);
    return false;
  });
});

test("D46: system namespaces are left alone by every writer", async () => {
  assert.equal((await labelsOf("namespace", "kube-system"))[hashLabel], undefined);
  await admin.ok(["create", "configmap", "mine", "-n", "default"]);
  assert.equal((await labelsOf("configmap", "mine", "-n", "default"))[hashLabel], undefined);
});
