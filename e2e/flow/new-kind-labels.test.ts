import assert from "node:assert/strict";
import { test } from "node:test";
import type { Condition, KubernetesObject } from "#api/meta";
import { defaultShardLabels } from "#api/names";
import type { ResourceKind } from "#kube/client/client";
import {
  applySource,
  operatorNamespace,
  ownersSettle,
  podNow,
  podOf,
  type Shard,
  shardingConfig,
  startOperators,
} from "./digest-operators.ts";
import { eventually, throughout } from "./eventually.ts";
import { conditionsOf, kinds, Mesh } from "./mesh.ts";
import { clientAsOperator } from "./pod-client.ts";
import { listIn, namesIn } from "./raw-client.ts";

const signal = new AbortController().signal;
const services: ResourceKind = { group: "", version: "v1", resource: "services", namespaced: true };
const serviceList = "/api/v1/services?labelSelector=example.com%2Fsource%3Dtrue";
const rbac = "rbac.authorization.k8s.io";

function shards(resources: readonly string[]): readonly [Shard, Shard] {
  return [
    { name: "digest-a", ordinal: 0, namespaces: ["team-a"], resources },
    { name: "digest-b", ordinal: 1, namespaces: ["team-b"], resources },
  ];
}

/** What the manager may label. */
async function applyLabelledKinds(
  mesh: Mesh,
  patched: readonly string[],
  read: readonly string[],
): Promise<void> {
  await mesh.apply({
    apiVersion: `${rbac}/v1`,
    kind: "ClusterRole",
    metadata: { name: "ctrlmesh-labelled-kinds" },
    rules: [
      { apiGroups: [""], resources: patched, verbs: ["list", "watch", "patch"] },
      ...(read.length === 0 ? [] : [{ apiGroups: [""], resources: read, verbs: ["list", "watch"] }]),
    ],
  } as KubernetesObject);
}

/** Lets the operator list Services too. */
async function allowServices(mesh: Mesh): Promise<void> {
  const name = "digest-operator-services";
  const rules = [{ apiGroups: [""], resources: ["services"], verbs: ["list", "watch"] }];
  await mesh.apply({
    apiVersion: `${rbac}/v1`,
    kind: "ClusterRole",
    metadata: { name },
    rules,
  } as KubernetesObject);
  await mesh.apply({
    apiVersion: `${rbac}/v1`,
    kind: "ClusterRoleBinding",
    metadata: { name },
    roleRef: { apiGroup: rbac, kind: "ClusterRole", name },
    subjects: [{ kind: "ServiceAccount", name: "digest-operator", namespace: operatorNamespace }],
  } as KubernetesObject);
}

async function createService(mesh: Mesh, namespace: string, name: string): Promise<void> {
  await mesh.apply({
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace, labels: { "example.com/source": "true" } },
    spec: { ports: [{ port: 80 }], selector: { app: name } },
  });
}

async function conditionOf(mesh: Mesh, shard: string, type: string): Promise<Condition | undefined> {
  const config = await mesh.get(kinds.shardingConfigs, operatorNamespace, shard);
  const { generation } = config.metadata ?? {};
  return conditionsOf(config).find((each) => each.type === type && each.observedGeneration === generation);
}

test("limit on a new kind: waits until all objects have their labels, and the old view stays in force till then", async () => {
  await using mesh = await Mesh.open();
  const manager = await mesh.manager();
  await applyLabelledKinds(mesh, ["configmaps", "pods"], ["services"]);
  await manager.start();
  for (const namespace of ["team-a", "team-b"]) {
    await mesh.namespace(namespace);
    await applySource(mesh, namespace, "one");
    for (const name of ["one", "two"]) await createService(mesh, namespace, name);
  }
  await startOperators(mesh, shards(["configmaps"]));
  await allowServices(mesh);
  const owners = { [podOf(0)]: ["team-a/one"], [podOf(1)]: ["team-b/one"] };
  await ownersSettle(mesh, owners);
  const uidsBefore = [await podNow(mesh, 0), await podNow(mesh, 1)].map(({ uid }) => uid);
  const everything = ["team-a/one", "team-a/two", "team-b/one", "team-b/two"];
  const before = await clientAsOperator(mesh, podOf(0));
  assert.deepEqual(namesIn(listIn(await before.request({ target: serviceList }))), everything);

  for (const shard of shards(["configmaps", "services"])) await mesh.apply(shardingConfig(shard));
  let condition: Condition | undefined;
  for (const shard of ["digest-a", "digest-b"]) {
    await eventually(
      `${shard} says that it waits for labels, how many, and that they are refused`,
      async () => {
        condition = await conditionOf(mesh, shard, "Labelling");
        const { status, reason, message = "" } = condition ?? {};
        return status === "True" && reason === "ObjectsRefuseLabels" && /services \([4-9]\)/.test(message);
      },
      { detail: () => JSON.stringify(condition) },
    );
    assert.equal((await conditionOf(mesh, shard, "Ready"))?.status, "False");
    const { status } = await mesh.get(kinds.shardingConfigs, operatorNamespace, shard);
    const { coverage } = status as { coverage: { labelled: boolean; stuck: readonly string[] } };
    assert.equal(coverage.labelled, false);
    assert.ok(
      coverage.stuck.some((text) => text.includes("team-b/two") && text.includes("cannot patch")),
      coverage.stuck.join("\n"),
    );
  }
  // Two shards lost nothing, so neither pods nor views may change while the labels are not there.
  await throughout("the old view stays in force", 3_000, async () => {
    const list = await before.request({ target: serviceList });
    return namesIn(listIn(list)).join() === everything.join();
  });
  assert.deepEqual(
    [await podNow(mesh, 0), await podNow(mesh, 1)].map(({ uid }) => uid),
    uidsBefore,
  );
  await ownersSettle(mesh, owners);

  await applyLabelledKinds(mesh, ["configmaps", "pods", "services"], []);
  await mesh.shardsReady(operatorNamespace);
  const unlabelled = await mesh.list(services, {
    labelSelector: `!${defaultShardLabels.hash},example.com/source`,
  });
  assert.deepEqual(unlabelled, [], "every Service had its labels when the limit came into force");
  for (const [ordinal, namespace] of ["team-a", "team-b"].entries()) {
    assert.notEqual(
      (await podNow(mesh, ordinal)).uid,
      uidsBefore[ordinal],
      "a view that shrinks needs a new pod",
    );
    const after = await clientAsOperator(mesh, podOf(ordinal));
    const list = listIn(await after.request({ target: serviceList }));
    assert.deepEqual(namesIn(list), [`${namespace}/one`, `${namespace}/two`]);
    assert.equal(
      await conditionOf(mesh, namespace === "team-a" ? "digest-a" : "digest-b", "Labelling"),
      undefined,
    );
  }
  await ownersSettle(mesh, owners);
  const { uid } = await mesh
    .get(kinds.pods, operatorNamespace, podOf(0))
    .then(({ metadata }) => metadata ?? {});
  assert.ok(
    mesh.requests.some(
      ({ podUid, resource, status }) => podUid === uid && resource === "services" && status === 200,
    ),
    "the list went through the proxy of the new pod",
  );
  await mesh.client.delete(services, { namespace: "team-a", name: "two" }, { signal });
});
