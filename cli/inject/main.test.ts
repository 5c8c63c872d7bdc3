import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { parseAllDocuments } from "yaml";
import { annotations, labels } from "#api/names";
import { kubernetesYaml } from "../manifests.ts";
import { runInject } from "./main.ts";

const folder = fileURLToPath(new URL("../testdata/inject/", import.meta.url));

interface Told {
  readonly out: string;
  readonly err: string;
}

async function injectFile(argv: readonly string[]): Promise<Told> {
  let out = "";
  let err = "";
  const exitCode = await runInject(
    argv,
    {},
    {
      out: (text) => {
        out += text;
      },
      err: (text) => {
        err += text;
      },
    },
  );
  assert.equal(exitCode, 0);
  return { out, err };
}

async function injectText(manifest: string, ...argv: readonly string[]): Promise<Told> {
  const directory = mkdtempSync(join(tmpdir(), "ctrlmesh-inject-"));
  try {
    const file = join(directory, "op.yaml");
    writeFileSync(file, manifest);
    const { out, err } = await injectFile(["-f", file, ...argv]);
    return { out, err: err.replaceAll(`${directory}/`, "") };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const goldens: readonly [after: string, ...argv: string[]][] = [
  ["operator.env.yaml"],
  ["operator.iptables.json", "-o", "json", "--mode", "iptables", "--api-server", "10.96.0.1:443"],
  [
    "operator.container.yaml",
    "--native-sidecars=false",
    "--mode=kubeconfig",
    "--by-name",
    "--image",
    "mesh:1",
  ],
];
for (const [after, ...argv] of goldens) {
  test(`inject: operator.yaml with "${argv.join(" ")}" is ${after} (--update rewrites it)`, async () => {
    const { out } = await injectFile(["-f", join(folder, "operator.yaml"), ...argv]);
    if (process.argv.includes("--update")) writeFileSync(join(folder, after), out);
    assert.equal(out, readFileSync(join(folder, after), "utf8"));
  });
}

test("inject: what makes no pods, or is not selected, passes letter by letter and in its place", async () => {
  const before = readFileSync(join(folder, "operator.yaml"), "utf8").split("---\n");
  const { out, err } = await injectFile(["-f", join(folder, "operator.yaml")]);
  const after = out.split("---\n");
  assert.equal(after.length, before.length);
  assert.deepEqual(
    after.flatMap((document, index) => (document === before[index] ? [index + 1] : [])),
    [1, 2, 3, 4, 7],
  );
  assert.match(
    err,
    /document 5 \(StatefulSet digest-operator\): shown as in shard digest-a, that of its first/,
  );
  assert.match(err, /document 7 \(Deployment dashboard\): left as it is: no ShardingConfig selects its pods/);
});

const template = {
  metadata: { labels: { app: "x" } },
  spec: { containers: [{ name: "op", image: "op:1" }] },
};
const workloads: readonly [apiVersion: string, kind: string, rest: object, path: readonly string[]][] = [
  ["v1", "Pod", { spec: template.spec }, []],
  ["v1", "ReplicationController", { spec: { template } }, ["spec", "template"]],
  ["apps/v1", "Deployment", { spec: { template } }, ["spec", "template"]],
  ["apps/v1", "StatefulSet", { spec: { template } }, ["spec", "template"]],
  ["apps/v1", "DaemonSet", { spec: { template } }, ["spec", "template"]],
  ["apps/v1", "ReplicaSet", { spec: { template } }, ["spec", "template"]],
  ["batch/v1", "Job", { spec: { template } }, ["spec", "template"]],
  [
    "batch/v1",
    "CronJob",
    { spec: { jobTemplate: { spec: { template } } } },
    ["spec", "jobTemplate", "spec", "template"],
  ],
];
for (const [apiVersion, kind, rest, path] of workloads) {
  test(`inject: the pods of a ${kind} get the proxy`, async () => {
    const manifest = JSON.stringify({ apiVersion, kind, metadata: { name: "op" }, ...rest });
    const { out } = await injectText(manifest, "--shard", "a", "-o", "json");
    const whole = JSON.parse(out);
    assert.equal(whole.kind, kind);
    assert.equal(whole.metadata.name, "op");
    const pod = path.reduce((value, key) => value[key], whole);
    assert.equal(pod.spec.initContainers[0].name, "ctrlmesh-proxy");
    assert.equal(pod.metadata.labels[labels.shardingConfigInjected], "a");
    assert.equal(pod.metadata.labels[labels.podName], undefined);
    assert.equal(pod.metadata.labels.app, path.length === 0 ? undefined : "x");
  });
}

for (const other of [
  { apiVersion: "apps.kruise.io/v1", kind: "StatefulSet", spec: { template } },
  { apiVersion: "v1", kind: "PodTemplate", template },
  { kind: "Deployment", spec: { template } },
  { anything: [1] },
]) {
  test(`inject: ${JSON.stringify(other).slice(0, 60)} is none of ours and passes`, async () => {
    const { out } = await injectText(JSON.stringify(other), "--shard", "a", "-o", "json");
    assert.deepEqual(JSON.parse(out), other);
  });
}

test("inject: a List stays one, and its workloads are injected", async () => {
  const items = [
    { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "x" } },
    { apiVersion: "v1", kind: "Pod", metadata: { name: "op" }, spec: template.spec },
  ];
  const { out } = await injectText(
    JSON.stringify({ apiVersion: "v1", kind: "List", items }),
    "--shard=a",
    "-o=json",
  );
  const whole = JSON.parse(out);
  assert.deepEqual(whole.items[0], items[0]);
  assert.equal(whole.items[1].spec.initContainers.length, 1);
});

test("inject: YAML is read and written as kubectl does it", async () => {
  const { out } = await injectText(
    `apiVersion: v1
kind: Pod
metadata: {name: op, annotations: {since: 2026-01-02, port: 22:22}}
spec:
  securityContext:
  containers:
    - {name: op, args: ["on", "0644", "2026-01-02"], env: [{name: A, value: "yes"}]}
  volumes: [{name: v, emptyDir: {}, mode: 0644}]
`,
    "--shard=a",
  );
  const [document] = parseAllDocuments(out, kubernetesYaml);
  const pod = document?.toJS();
  assert.equal(pod.metadata.annotations.since, "2026-01-02");
  assert.equal(pod.metadata.annotations.port, "22:22");
  assert.deepEqual(pod.spec.containers[0].args, ["on", "0644", "2026-01-02"]);
  assert.equal(pod.spec.containers[0].env[0].value, "yes");
  assert.equal(pod.spec.volumes[0].mode, 0o644);
  assert.match(out, /- "on"\n/);
  assert.match(out, /- "0644"\n/);
});

const podWith = (metadata: object, spec: object = {}) =>
  JSON.stringify({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "op", ...metadata },
    spec: { ...template.spec, ...spec },
  });
const modeOf = ({ out }: Told) => JSON.parse(JSON.parse(out).metadata.annotations[annotations.injected]).mode;

test("inject: the pod's own mode wins over --mode, and this over the Namespace of the manifests", async () => {
  const namespace = JSON.stringify({
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name: "default", annotations: { [annotations.proxyMode]: "kubeconfig" } },
  });
  const own = { annotations: { [annotations.proxyMode]: "env" } };
  assert.equal(modeOf(await injectText(podWith(own), "--shard=a", "-o=json", "--mode=kubeconfig")), "env");
  assert.equal(
    modeOf(await injectText(podWith({}), "--shard=a", "-o=json", "--mode=kubeconfig")),
    "kubeconfig",
  );
  const { out } = await injectText(`${namespace}\n---\n${podWith({})}`, "--shard=a", "-o=json");
  assert.match(out, /\\"mode\\":\\"kubeconfig\\"/);
});

test("inject: a pod that is labelled false stays as it is", async () => {
  const { out, err } = await injectText(podWith({ labels: { [labels.enableProxy]: "false" } }), "--shard=a");
  assert.ok(!out.includes("ctrlmesh-proxy"));
  assert.match(err, /^op\.yaml: document 1 \(Pod op\): left as it is/);
});

test("inject: warnings name the document", async () => {
  const { err } = await injectText(podWith({}, { automountServiceAccountToken: false }), "--shard=a");
  assert.match(err, /^op\.yaml: document 1 \(Pod op\): warning: automountServiceAccountToken is false/);
});

const refused: readonly [title: string, manifest: string, argv: readonly string[], message: RegExp][] = [
  [
    "a pod that can't have a proxy",
    podWith({}, { hostNetwork: true }),
    ["--shard=a"],
    /^INJECTION_REFUSED: .*op\.yaml: document 1 \(Pod op\): spec\.hostNetwork: .*; take hostNetwork away/,
  ],
  ["a pod that is none", podWith({}, { containers: [] }), ["--shard=a"], /^INVALID_RESOURCE: .*document 1/],
  ["no YAML", "a: [", ["--shard=a"], /^INVALID_RESOURCE: .*op\.yaml: document 1: .*line 1/],
  ["no object", "a: 1\n---\n- 1\n", ["--shard=a"], /^INVALID_RESOURCE: .*document 2: it is no object/],
  ["no shard", podWith({}), [], /^INVALID_FLAG: --shard: no shard is known; give the name/],
  [
    "no address for iptables",
    podWith({}),
    ["--shard=a", "--mode=iptables"],
    /^INJECTION_REFUSED: .*default\/kubern/,
  ],
  ["an address that is none", podWith({}), ["--shard=a", "--api-server=x"], /^INVALID_FLAG: --api-server/],
  ["another mode", podWith({}), ["--shard=a", "--mode=x"], /^INVALID_FLAG: --mode/],
  [
    "a ShardingConfig that is none",
    "apiVersion: ctrlmesh.kusionstack.io/v1alpha1\nkind: ShardingConfig\nmetadata: {name: a}\nspec: {limits: 1}\n",
    [],
    /^INVALID_RESOURCE: .*op\.yaml: document 1: /,
  ],
];
for (const [title, manifest, argv, message] of refused) {
  test(`inject: ${title} is an error that names file and document`, async () => {
    await assert.rejects(injectText(manifest, ...argv), (error: Error & { code?: string }) => {
      assert.match(`${error.code}: ${error.message}`, message);
      return true;
    });
  });
}

test("inject: two ShardingConfigs that select a pod are told", async () => {
  const config = (name: string) => ({
    apiVersion: "ctrlmesh.kusionstack.io/v1alpha1",
    kind: "ShardingConfig",
    metadata: { name, namespace: "default" },
    spec: {
      selector: { matchLabels: { app: "x" } },
      limits: [{ relateResources: [{ apiGroups: [""], resources: ["pods"] }] }],
    },
  });
  const text = [config("a"), config("b")].map((each) => JSON.stringify(each)).join("\n---\n");
  await assert.rejects(injectText(`${text}\n---\n${podWith({ labels: { app: "x" } })}`), {
    code: "INJECTION_REFUSED",
    message: /document 3 \(Pod op\): metadata\.labels: more than one ShardingConfig .* a, b/,
  });
});

test("inject: the webhook of a ShardingConfig in the manifests is shown too", async () => {
  const config = JSON.stringify({
    apiVersion: "ctrlmesh.kusionstack.io/v1alpha1",
    kind: "ShardingConfig",
    metadata: { name: "a", namespace: "default" },
    spec: {
      selector: { matchLabels: { app: "x" } },
      webhook: { certDir: "/certs", port: 9443 },
      limits: [{ relateResources: [{ apiGroups: [""], resources: ["pods"] }] }],
    },
  });
  const podText = (mountPath: string) =>
    podWith(
      { labels: { app: "x" } },
      { containers: [{ name: "op", image: "op", volumeMounts: [{ name: "certs", mountPath }] }] },
    );
  const { out } = await injectText(`${config}\n---\n${podText("/certs")}`, "-o=json");
  assert.match(out, /CTRLMESH_WEBHOOK_TARGET/);
  await assert.rejects(injectText(`${config}\n---\n${podText("/other")}`), {
    code: "INJECTION_REFUSED",
    message: /spec\.webhook\.certDir: no volume is mounted at \/certs/,
  });
});

test("inject: a file that is not there is told", async () => {
  await assert.rejects(injectFile(["-f", "/nowhere/op.yaml", "--shard=a"]), {
    code: "FILE_UNREADABLE",
    message: /^\/nowhere\/op\.yaml: /,
  });
});
