import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import type { KubernetesObject } from "#api/meta";
import { ctrlmesh } from "../check/command.ts";
import { applySource, operatorNamespace, startOperators } from "./digest-operators.ts";
import { eventually } from "./eventually.ts";
import { kinds, Mesh, root } from "./mesh.ts";

const webhooks = {
  group: "admissionregistration.k8s.io",
  version: "v1",
  resource: "mutatingwebhookconfigurations",
  namespaced: false,
} as const;

interface Report {
  readonly ok: boolean;
  readonly pods: readonly { readonly name: string; readonly shard: string }[];
  readonly steps: readonly string[];
  readonly refusal: string;
}

/** The check in the name of a service account that may list pods and namespaces, and nothing else. */
async function checkAsHook(mesh: Mesh): Promise<Report & { readonly exitCode: number }> {
  const place = { namespace: "ctrlmesh", name: "hook" };
  const rbac = "rbac.authorization.k8s.io";
  const rules = [{ apiGroups: [""], resources: ["pods", "namespaces"], verbs: ["list"] }];
  await mesh.apply({ apiVersion: "v1", kind: "ServiceAccount", metadata: place });
  await mesh.apply({ apiVersion: `${rbac}/v1`, kind: "ClusterRole", metadata: { name: "hook" }, rules });
  await mesh.apply({
    apiVersion: `${rbac}/v1`,
    kind: "ClusterRoleBinding",
    metadata: { name: "hook" },
    roleRef: { apiGroup: rbac, kind: "ClusterRole", name: "hook" },
    subjects: [{ kind: "ServiceAccount", ...place }],
  });
  const path = `/api/v1/namespaces/${place.namespace}/serviceaccounts/${place.name}/token`;
  const request = { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: {} };
  const answer = (await mesh.client.raw("POST", path, request, { signal: new AbortController().signal })) as {
    status: { token: string };
  };
  const file = join(mesh.cluster.folder, "hook.kubeconfig");
  writeFileSync(file, mesh.cluster.api.kubeconfigForToken(answer.status.token), { mode: 0o600 });
  const { stdout, stderr, exitCode } = await ctrlmesh(file, ["uninstall", "--check", "-o", "json"]);
  assert.match(stdout, /^\{/, stderr);
  return { ...(JSON.parse(stdout) as Report), exitCode };
}

const hasProxy = ({ spec }: KubernetesObject): boolean => JSON.stringify(spec).includes('"ctrlmesh-proxy"');

test("uninstall: refuses while pods have a proxy; drains them all at once, and leaves nothing that blocks", async () => {
  await using mesh = await Mesh.open();
  const manager = await mesh.manager("ctrlmesh-manager-0", { extraArgs: ["--lease-duration-seconds=3"] });
  await manager.start();
  for (const namespace of ["team-a", "team-b"]) {
    await mesh.namespace(namespace);
    await applySource(mesh, namespace, "one");
  }
  await startOperators(mesh, [
    { name: "left", ordinal: 0, namespaces: ["team-a"] },
    { name: "right", ordinal: 1, namespaces: ["team-b"] },
  ]);
  const { kubeconfig } = mesh.cluster;
  const report = async (...args: readonly string[]): Promise<Report & { readonly exitCode: number }> => {
    const { stdout, stderr, exitCode } = await ctrlmesh(kubeconfig, ["uninstall", "-o", "json", ...args]);
    assert.match(stdout, /^\{/, stderr);
    return { ...(JSON.parse(stdout) as Report), exitCode };
  };

  const check = await report("--check");
  assert.deepEqual([check.exitCode, check.ok], [1, false]);
  assert.deepEqual(
    check.pods.map(({ name, shard }) => `${name} of ${shard}`),
    ["digest-operator-0 of left", "digest-operator-1 of right"],
  );
  assert.deepEqual(await checkAsHook(mesh), check);

  const refused = await report("--yes");
  assert.deepEqual([refused.exitCode, refused.steps], [1, []]);
  assert.match(refused.refusal, /^2 pods run with a proxy .*: give --drain/);
  const unsure = await ctrlmesh(kubeconfig, ["uninstall", "--drain"]);
  assert.equal(unsure.exitCode, 2);
  assert.match(unsure.stderr, /INVALID_FLAG: --yes: nothing is taken away without it; look with --dry-run/);
  const dry = await report("--drain", "--strip-labels", "--dry-run");
  assert.equal(dry.exitCode, 0);
  assert.deepEqual(
    dry.steps.map((step) => step.replace(/ resource.*/, "")),
    [
      "roll out StatefulSet demo/digest-operator without proxies, all at once",
      "delete 2 ShardingConfigs and their ledgers",
      "end the manager in ctrlmesh",
      "delete mutatingwebhookconfigurations ctrlmesh-mutating",
      "delete validatingwebhookconfigurations ctrlmesh-validating",
      "take the shard labels off all objects",
      "delete CA bundles, certificates and ManagerState",
    ],
  );
  assert.equal((await mesh.list(kinds.pods, { namespace: operatorNamespace })).filter(hasProxy).length, 2);

  // A pod without a proxy acts on everything: none may be there beside one with a proxy.
  let mixed = "";
  const watching = new AbortController();
  const watched = (async () => {
    const seen = new Map<string, KubernetesObject>();
    const { resourceVersion } = await mesh.client.list(
      kinds.pods,
      { namespace: operatorNamespace },
      { signal: watching.signal },
    );
    const query = { namespace: operatorNamespace, resourceVersion };
    for (const pod of await mesh.list(kinds.pods, { namespace: operatorNamespace }))
      seen.set(pod.metadata?.uid ?? "", pod);
    for await (const event of mesh.client.watch(kinds.pods, query, watching)) {
      if (event.type === "BOOKMARK") continue;
      const uid = event.object.metadata?.uid ?? "";
      if (event.type === "DELETED") seen.delete(uid);
      else seen.set(uid, event.object);
      const kindsOfPods = new Set([...seen.values()].map(hasProxy));
      if (kindsOfPods.size > 1) mixed = [...seen.values()].map(({ metadata }) => metadata?.name).join();
    }
  })().catch(() => undefined);

  const child = spawn(
    process.execPath,
    [join(root, "cli/main.ts"), "uninstall", "--drain", "--strip-labels", "--yes"],
    { env: { PATH: "/usr/bin:/bin", KUBECONFIG: kubeconfig } },
  );
  const exited = once(child, "close");
  const [stdout, stderr] = [text(child.stdout), text(child.stderr)];
  await eventually(
    "the ShardingConfigs are released and gone",
    async () => (await mesh.list(kinds.shardingConfigs)).length === 0,
    { withinMs: 90_000 },
  );
  await eventually("the ledgers are gone", async () => (await mesh.list(kinds.ledgers)).length === 0);
  // The manager of this test is a process, no Deployment: uninstall waits until it is gone.
  assert.equal((await mesh.list(webhooks)).length, 1);
  await manager.stop();
  await exited;
  assert.equal(child.exitCode, 0, `${await stdout}${await stderr}`);
  assert.match(await stdout, /^no pod has a proxy\n/);
  watching.abort();
  await watched;
  assert.equal(mixed, "");

  const pods = await mesh.list(kinds.pods, { namespace: operatorNamespace });
  assert.deepEqual(
    pods.map((pod) => [pod.metadata?.name, hasProxy(pod)]),
    [
      ["digest-operator-0", false],
      ["digest-operator-1", false],
    ],
  );
  assert.deepEqual(await mesh.list(webhooks), []);
  const labelled = [
    ...(await mesh.list(kinds.configMaps, { labelSelector: "ctrlmesh.kusionstack.io/control" })),
    ...(await mesh.list(kinds.namespaces, { labelSelector: "ctrlmesh.kusionstack.io/control" })),
  ];
  assert.deepEqual(labelled, []);
  const names = (await mesh.list(kinds.configMaps)).map(({ metadata }) => metadata?.name);
  assert.equal(names.includes("ctrlmesh-ca") || names.includes("fake-kubeconfig"), false);
  const after = await report("--check");
  assert.deepEqual([after.exitCode, after.ok, after.pods], [0, true, []]);
  // A second time finds nothing to do, and says so.
  const again = await report("--yes");
  assert.equal(again.exitCode, 0);
});
