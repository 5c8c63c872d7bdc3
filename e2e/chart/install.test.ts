import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { annotations } from "#api/names";
import { proxyUid } from "#api/ports";
import { isRecord } from "#kube/client/api-error";
import type { Kubectl } from "../cluster/kubectl.ts";
import { type NodeCluster, startNodeCluster } from "../cluster/node/node-cluster.ts";
import { eventually } from "../flow/eventually.ts";
import { runDocumented } from "./documented-command.ts";
import { chart } from "./helm.ts";

/** The way of an administrator on a real node, by the commands of docs/install.md and the runbooks. */

const run = promisify(execFile);
const root = join(chart, "../..");

let cluster: NodeCluster;
let admin: Kubectl;

before(async () => {
  cluster = await startNodeCluster();
  admin = cluster.kubectl();
  const archive = join(cluster.directory, "image.tar");
  await run(process.execPath, [join(root, "build/image/main.ts"), `--output=${archive}`]);
  await cluster.loadImage(archive);
  const namespace = {
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name: "ctrlmesh", labels: { "pod-security.kubernetes.io/enforce": "restricted" } },
  };
  await admin.ok(["apply", "-f", "-"], JSON.stringify(namespace));
});

after(async () => {
  await cluster?.[Symbol.asyncDispose]();
});

const documented = (command: string): Promise<string> => runDocumented(command, cluster);

/** An operator that does nothing, and its shard. */
function operator(namespace: string) {
  const labels = { app: "operator" };
  const limits = [
    {
      relateResources: [{ apiGroups: [""], resources: ["configmaps"] }],
      selector: { matchLabels: { "ctrlmesh.kusionstack.io/namespace": "team-0" } },
    },
  ];
  const image = "docker.io/ctrlmesh/ctrlmesh:0.1.0";
  const command = ["/usr/bin/node", "-e", "process.on('SIGTERM', process.exit); setInterval(() => {}, 1e6)"];
  const items = [
    {
      apiVersion: "ctrlmesh.kusionstack.io/v1alpha1",
      kind: "ShardingConfig",
      metadata: { name: "all", namespace },
      spec: { selector: { matchLabels: labels }, limits },
    },
    {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "operator", namespace, labels },
      spec: { containers: [{ name: "operator", image, command }] },
    },
  ];
  return JSON.stringify({ apiVersion: "v1", kind: "List", items });
}

test("install: it is ready under Pod Security restricted, and its own test says so", async () => {
  await documented("helm install ctrlmesh charts/ctrlmesh --namespace ctrlmesh --create-namespace --wait");
  const said = await documented("helm test ctrlmesh --namespace ctrlmesh");
  assert.match(said, /Phase:\s+Succeeded/);
  assert.match(
    await documented("kubectl -n ctrlmesh get pods,lease"),
    /2 +|lease.*ctrlmesh-manager_|ctrlmesh-manager/,
  );
});

test("install: the image is the proxy of an operator's pod, and the shard is granted", async () => {
  await admin.ok(["create", "namespace", "demo"]);
  await admin.ok(["annotate", "namespace", "demo", `${annotations.enableProxy}=true`]);
  await admin.ok(["apply", "-f", "-"], operator("demo"));
  await admin.ok(["-n", "demo", "wait", "--for=condition=Ready", "--timeout=50s", "pod/operator"]);
  await eventually("the shard is ready", async () => {
    const config = await admin.json(["-n", "demo", "get", "shardingconfig", "all", "-o", "json"]);
    return JSON.stringify(config).includes('"reason":"Granted"');
  });
  const pod = await admin.json(["-n", "demo", "get", "pod", "operator", "-o", "json"]);
  const spec = isRecord(pod) && isRecord(pod.spec) ? JSON.stringify(pod.spec.initContainers) : "";
  assert.match(spec, new RegExp(`"runAsUser":${proxyUid}`));
  const log = await documented("kubectl -n ctrlmesh logs deployment/ctrlmesh-manager --tail=50");
  assert.match(log, /manager starts|leading/);
  assert.match(await documented("kubectl get shardingconfigs --all-namespaces"), /demo +all/);
});

test("install: upgrade and rollback change the manager and leave operators alone", async () => {
  const uidOf = async () =>
    await admin.ok([
      "-n",
      "demo",
      "get",
      "pod",
      "operator",
      "-o",
      "jsonpath={.metadata.uid} {.status.containerStatuses[*].restartCount}",
    ]);
  const before = await uidOf();
  await documented("helm upgrade ctrlmesh charts/ctrlmesh --namespace ctrlmesh --wait");
  await runDocumented(
    "helm upgrade ctrlmesh charts/ctrlmesh --namespace ctrlmesh --wait --set logLevel=debug",
    cluster,
  );
  const argumentsOf = () =>
    admin.ok([
      "-n",
      "ctrlmesh",
      "get",
      "deployment",
      "ctrlmesh-manager",
      "-o",
      "jsonpath={.spec.template.spec.containers[0].args}",
    ]);
  assert.match(await argumentsOf(), /--log-level=debug/);
  await documented("helm rollback ctrlmesh --namespace ctrlmesh --wait");
  assert.match(await argumentsOf(), /--log-level=info/);
  assert.equal(await uidOf(), before);
});

test("uninstall: it refuses while a pod has a proxy, and leaves nothing that blocks pods", async () => {
  const command = "helm uninstall ctrlmesh --namespace ctrlmesh --wait";
  await assert.rejects(documented(command), /ctrlmesh-uninstall-check failed/);
  const log = await admin.ok(["-n", "ctrlmesh", "logs", "job/ctrlmesh-uninstall-check"]);
  assert.match(log, /demo\/operator/);
  await admin.ok(["-n", "ctrlmesh", "rollout", "status", "deployment/ctrlmesh-manager", "--timeout=30s"]);
  await admin.ok(["annotate", "namespace", "demo", `${annotations.enableProxy}-`]);
  await admin.ok(["-n", "demo", "delete", "pod", "operator", "--timeout=50s"]);
  await admin.ok(["-n", "demo", "delete", "shardingconfig", "all", "--timeout=50s"]);
  await documented(command);
  await admin.ok(["annotate", "namespace", "demo", `${annotations.enableProxy}=true`]);
  // The garbage collector takes webhooks and policies away, and API servers forget a policy a moment later.
  let said = "";
  await eventually(
    "a pod of an opted-in namespace is admitted as it is",
    async () => {
      const { exitCode, stderr } = await admin.run(["apply", "-f", "-"], operator("demo"));
      said = stderr;
      return exitCode === 0;
    },
    { detail: () => said },
  );
  const kinds = [
    "mutatingwebhookconfigurations",
    "validatingwebhookconfigurations",
    "mutatingadmissionpolicies",
    "mutatingadmissionpolicybindings",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
  ];
  await eventually("no webhook and no policy of ours is left", async () => {
    return !(await admin.ok(["get", kinds.join(), "-o", "name"])).includes("ctrlmesh");
  });
  await admin.ok(["-n", "demo", "wait", "--for=condition=Ready", "--timeout=50s", "pod/operator"]);
});
