import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { annotations, labels } from "#api/names";
import { startControlPlane } from "../cluster/control-plane.ts";
import { kubectl } from "../cluster/kubectl.ts";
import { eventually } from "../flow/eventually.ts";
import { ManagerProcess } from "../flow/manager-process.ts";
import { managerKubeconfig } from "../reality/real-mesh.ts";
import { chart, helm, objectsOf, release, render, valueArguments } from "./helm.ts";

const admission = [
  "mutatingwebhookconfigurations",
  "validatingwebhookconfigurations",
  "mutatingadmissionpolicies",
  "mutatingadmissionpolicybindings",
  "validatingadmissionpolicies",
  "validatingadmissionpolicybindings",
].join();

test("helm uninstall: no webhook and no policy is left to block pods, and the kinds stay with what users wrote", async () => {
  await using stack = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), "ctrlmesh-chart-"));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const plane = stack.use(await startControlPlane({ controllerManager: true }));
  const admin = kubectl(plane.kubeconfig);
  const inRelease = ["--namespace", release.namespace];
  const install = [
    ...["install", release.name, chart, ...inRelease, "--create-namespace"],
    ...valueArguments({ replicas: 0 }),
  ];
  await helm(install, plane.kubeconfig);
  const kubeconfig = await managerKubeconfig(plane, admin, folder);
  const manager = stack.use(await ManagerProcess.create({ name: "ctrlmesh-manager-0", kubeconfig, folder }));
  await manager.start();
  const metrics = await manager.metrics();
  const asked = JSON.stringify(objectsOf(await render({ "metrics.prometheusRule.enabled": true })));
  const names = new Set([...asked.matchAll(/ctrlmesh_manager_\w+/g)].map(([name]) => name));
  assert.ok(names.size > 3);
  for (const name of names)
    assert.match(metrics, new RegExp(`^# TYPE ${name} `, "m"), "alerts ask for what is measured");
  const ofOurs = async () =>
    (await admin.ok(["get", admission, "-o", "name"]))
      .split("\n")
      .filter((name) => name.includes("ctrlmesh"));
  await eventually("webhooks and policies are there", async () => {
    const names = (await ofOurs()).join(" ");
    return ["ctrlmesh-mutating", "ctrlmesh-validating", "ctrlmesh-opt-in", "require-proxy-pods"].every(
      (name) => names.includes(name),
    );
  });
  await admin.ok(["create", "namespace", "demo"]);
  await admin.ok(["annotate", "namespace", "demo", `${annotations.enableProxy}=true`]);
  const pod = ["-n", "demo", "run", "probe", "--image=nowhere.example/probe"];
  const labelled = `--labels=${labels.enableProxy}=true`;
  await manager.stop();
  const { exitCode } = await admin.run([...pod, labelled]);
  assert.notEqual(exitCode, 0, "with the release, a pod without its proxy is refused");

  // Hooks are pods, which nobody runs here.
  await helm(["uninstall", release.name, ...inRelease, "--no-hooks"], plane.kubeconfig);

  await eventually("nothing of ours admits or refuses", async () => (await ofOurs()).length === 0);
  await admin.ok([...pod, labelled]);
  await admin.ok(["get", "shardingconfigs", "--all-namespaces"]);
  const left = await admin.ok(["get", "clusterroles,clusterrolebindings", "-o", "name"]);
  assert.deepEqual(
    left.split("\n").filter((name) => name.includes("ctrlmesh")),
    [],
  );
  await helm(install, plane.kubeconfig);
});
