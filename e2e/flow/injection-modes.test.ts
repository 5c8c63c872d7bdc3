import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubernetesObject } from "#api/meta";
import { annotations, containers, environment, wellKnown } from "#api/names";
import { ports } from "#api/ports";
import type { Pod } from "#devcluster/workloads/pod-spec";
import {
  applySource,
  installOperator,
  operatorNamespace,
  ownersSettle,
  podOf,
  type Shard,
  shardingConfig,
  startOperators,
} from "./digest-operators.ts";
import { eventually, throughout } from "./eventually.ts";
import { kinds, Mesh } from "./mesh.ts";
import { readPod } from "./pod-client.ts";

const never = new AbortController().signal;
/** How long a closed gate is watched: an operator that is not held back starts within a fraction of it. */
const closedMs = 2_000;
const relistAtOnce = { onLoss: "Relist", handover: { settleSeconds: 0 } };

async function podSpec(mesh: Mesh, name: string): Promise<Pod["spec"]> {
  // Defaulted and validated by the API server.
  return ((await mesh.get(kinds.pods, operatorNamespace, name)) as unknown as Pod).spec;
}

async function open(extraArgs: readonly string[] = []): Promise<Mesh> {
  const mesh = await Mesh.open();
  try {
    const manager = await mesh.manager("ctrlmesh-manager-0", { extraArgs });
    await manager.start();
    for (const namespace of ["team-a", "team-b"]) {
      await mesh.namespace(namespace);
      await applySource(mesh, namespace, "source");
    }
    return mesh;
  } catch (error) {
    await mesh[Symbol.asyncDispose]();
    throw error;
  }
}

test("mode kubeconfig: the namespace's annotation gives the operator a kubeconfig, and it runs sharded", async () => {
  await using mesh = await open();
  await mesh.namespace(operatorNamespace);
  await mesh.client.patch(
    kinds.namespaces,
    { name: operatorNamespace },
    { type: "merge", body: { metadata: { annotations: { [annotations.proxyMode]: "kubeconfig" } } } },
    { signal: never },
  );
  await startOperators(mesh, [
    { name: "digest-a", ordinal: 0, namespaces: ["team-a"] },
    { name: "digest-b", ordinal: 1, namespaces: ["team-b"] },
  ]);
  await ownersSettle(mesh, { [podOf(0)]: ["team-a/source"], [podOf(1)]: ["team-b/source"] });

  const operator = (await podSpec(mesh, podOf(0))).containers.find(({ name }) => name === "operator");
  const path = `${wellKnown.fakeKubeconfigMountPath}/${wellKnown.fakeKubeconfigKey}`;
  assert.equal(operator?.env?.find(({ name }) => name === environment.kubeconfig)?.value, path);
  const file = await mesh.get(kinds.configMaps, operatorNamespace, wellKnown.fakeKubeconfigConfigMap);
  const text = (file.data as Record<string, string>)[wellKnown.fakeKubeconfigKey] ?? "";
  assert.match(text, new RegExp(`"server": "https://127\\.0\\.0\\.1:${ports.proxyApiserver}"`));

  const { uid } = await readPod(mesh, podOf(0));
  const views = mesh.requests.filter(
    (request) =>
      request.podUid === uid && request.resource === "configmaps" && ["list", "watch"].includes(request.verb),
  );
  assert.ok(views.length >= 2, "the operator listed and watched");
  for (const { target, labelSelector } of views) assert.match(labelSelector, /team-a/, target);
});

const placements = [
  { title: "a native sidecar", extraArgs: [], native: true },
  { title: "a plain container", extraArgs: ["--native-sidecars=false"], native: false },
] as const;

for (const { title, extraArgs, native } of placements) {
  test(`mode env: with the proxy as ${title} the operator starts only when its shard is granted`, async () => {
    await using mesh = await open(extraArgs);
    // While shard a claims both namespaces, nothing is left to grant to shard b.
    const shards = (...namespacesOfA: readonly string[]): readonly Shard[] => [
      { name: "digest-a", ordinal: 0, namespaces: namespacesOfA, spec: relistAtOnce },
      { name: "digest-b", ordinal: 1, namespaces: ["team-b"], spec: relistAtOnce },
    ];
    await mesh.namespace(operatorNamespace, true);
    for (const shard of shards("team-a", "team-b")) await mesh.apply(shardingConfig(shard));
    await installOperator(mesh, 2);
    await ownersSettle(mesh, { [podOf(0)]: ["team-a/source", "team-b/source"] });
    let readiness = "";
    await eventually(
      "the proxy of the other pod says that it is not granted",
      async () => {
        const { ip } = await readPod(mesh, podOf(1));
        readiness = await (await fetch(`http://${ip}:${ports.proxyAdmin}/readyz`)).text();
        return readiness.includes("not granted");
      },
      { detail: () => readiness },
    );
    await throughout(
      "the operator is held back",
      closedMs,
      async () => !(await operatorRuns(mesh, podOf(1))),
    );
    const spec = await podSpec(mesh, podOf(1));
    assert.equal(spec.initContainers?.[0]?.name === containers.proxy, native);
    assert.equal(spec.containers[0]?.name === containers.proxy, !native);

    for (const shard of shards("team-a")) await mesh.apply(shardingConfig(shard));
    await mesh.shardsReady(operatorNamespace);
    await ownersSettle(mesh, { [podOf(0)]: ["team-a/source"], [podOf(1)]: ["team-b/source"] });
    assert.equal(await operatorRuns(mesh, podOf(1)), true);
  });
}

interface ContainerStatus {
  readonly name: string;
  readonly restartCount: number;
  readonly state?: { readonly running?: object };
}

/** Whether the operator's container runs, or has ever run. */
async function operatorRuns(mesh: Mesh, pod: string): Promise<boolean> {
  const { status }: KubernetesObject = await mesh.get(kinds.pods, operatorNamespace, pod);
  const { containerStatuses = [] } = (status ?? {}) as { containerStatuses?: readonly ContainerStatus[] };
  const operator = containerStatuses.find(({ name }) => name === "operator");
  return operator !== undefined && (operator.restartCount > 0 || operator.state?.running !== undefined);
}
