import assert from "node:assert/strict";
import { test } from "node:test";
import {
  applySource,
  operatorNamespace,
  ownersSettle,
  podOf,
  type Shard,
  shardingConfig,
  startOperators,
} from "./digest-operators.ts";
import { eventually } from "./eventually.ts";
import { kinds, Mesh } from "./mesh.ts";
import { clientAsOperator, readPod } from "./pod-client.ts";
import { listIn, namesIn, type RawAnswer, type RawClient, statusIn } from "./raw-client.ts";

const sources = "/api/v1/configmaps?labelSelector=example.com%2Fsource%3Dtrue";
const configMapsOf = (namespace: string) => `/api/v1/namespaces/${namespace}/configmaps`;
const leasesOf = (namespace: string) => `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`;

function shards(moved: "before" | "after"): readonly Shard[] {
  const [ofA, ofB] = moved === "before" ? [["kept", "moving"], ["theirs"]] : [["kept"], ["theirs", "moving"]];
  return [
    { name: "digest-a", ordinal: 0, namespaces: ofA },
    { name: "digest-b", ordinal: 1, namespaces: ofB },
  ];
}

/** Lets operators write what the tests write; the example's own role is narrower. */
async function allowWrites(mesh: Mesh): Promise<void> {
  const name = "fence-test";
  await mesh.apply({
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "ClusterRole",
    metadata: { name },
    rules: [
      { apiGroups: [""], resources: ["configmaps", "events"], verbs: ["*"] },
      { apiGroups: ["coordination.k8s.io"], resources: ["leases"], verbs: ["*"] },
    ],
  });
  await mesh.apply({
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "ClusterRoleBinding",
    metadata: { name },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name },
    subjects: [{ kind: "ServiceAccount", name: "digest-operator", namespace: operatorNamespace }],
  });
}

function create(client: RawClient, target: string, name: string): Promise<RawAnswer> {
  return client.request({ method: "POST", target, body: { metadata: { name } } });
}

test("write fence: between revoke and the losing pod's end its writes to a moved namespace get 403, its old view stays", async () => {
  await using mesh = await Mesh.open();
  const manager = await mesh.manager();
  await manager.start();
  for (const namespace of ["kept", "moving", "theirs"]) {
    await mesh.namespace(namespace);
    await applySource(mesh, namespace, "source");
  }
  await allowWrites(mesh);
  await startOperators(mesh, shards("before"));
  const owners = { [podOf(0)]: ["kept/source", "moving/source"], [podOf(1)]: ["theirs/source"] };
  await ownersSettle(mesh, owners);
  const loser = await clientAsOperator(mesh, podOf(0));
  const gainer = await clientAsOperator(mesh, podOf(1));
  const losing = await readPod(mesh, podOf(0));
  const previous = listIn(await loser.request({ target: sources }));
  await using watch = await loser.open({
    target: `${sources}&watch=true&resourceVersion=${previous.metadata.resourceVersion}`,
  });
  assert.equal((await create(loser, configMapsOf("moving"), "before")).status, 201);

  // An operator that does not end when it is told to: its pod is deleted, and lives on through its grace period.
  assert.ok(mesh.cluster.pods.kill(operatorNamespace, podOf(0), "operator", "SIGSTOP"));
  for (const shard of shards("after")) await mesh.apply(shardingConfig(shard));
  await eventually("the losing pod is being deleted", async () => {
    const { metadata } = await mesh.get(kinds.pods, operatorNamespace, podOf(0));
    return metadata?.uid === losing.uid && metadata.deletionTimestamp !== undefined;
  });

  const seenByServer = mesh.requests.length;
  const object = `${configMapsOf("moving")}/source`;
  const patch = { data: { text: "too late" } };
  const writes: Readonly<Record<string, Promise<RawAnswer>>> = {
    create: create(loser, configMapsOf("moving"), "late"),
    update: loser.request({ method: "PUT", target: object, body: { metadata: { name: "source" } } }),
    patch: loser.request({
      method: "PATCH",
      target: object,
      body: patch,
      contentType: "application/merge-patch+json",
    }),
    apply: loser.request({
      method: "PATCH",
      target: `${object}?fieldManager=late&force=true`,
      body: { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "source" }, ...patch },
      contentType: "application/apply-patch+yaml",
    }),
    delete: loser.request({ method: "DELETE", target: object }),
    "delete all": loser.request({ method: "DELETE", target: configMapsOf("moving") }),
  };
  for (const [title, write] of Object.entries(writes)) {
    const answer = await write;
    const { kind, code, reason, message } = statusIn(answer);
    assert.equal(answer.status, 403, `${title}: ${answer.body}`);
    assert.deepEqual({ kind, code, reason }, { kind: "Status", code: 403, reason: "Forbidden" }, title);
    assert.match(
      message,
      /namespace "moving" has moved away from shard "digest-a".*\(WRITE_FENCED\)$/,
      title,
    );
    assert.match(answer.headers.get("content-type") ?? "", /^application\/json/);
  }
  assert.deepEqual(
    mesh.requests
      .slice(seenByServer)
      .filter(
        ({ podUid, namespace, verb }) => podUid === losing.uid && namespace === "moving" && verb !== "get",
      )
      .map(({ verb, target }) => `${verb} ${target}`),
    [],
    "none of them reached the API server",
  );

  // The old view stays, else the operator would see deletions that nobody made.
  assert.deepEqual(namesIn(listIn(await loser.request({ target: sources }))), owners[podOf(0)]);
  assert.equal((await loser.request({ target: object })).status, 200);
  await applySource(mesh, "moving", "source", "changed after the revoke");
  await eventually("the open watch goes on under the old view", () => watch.body.includes("changed after"), {
    detail: () => watch.body,
  });
  assert.deepEqual(
    watch.events.filter(({ type }) => type === "ERROR" || type === "DELETED"),
    [],
  );
  assert.deepEqual(namesIn(listIn(await gainer.request({ target: sources }))), owners[podOf(1)]);

  // What the fence leaves alone: what the shard keeps, the pod's own namespace, leases and events.
  for (const [target, name] of [
    [configMapsOf("kept"), "still-ours"],
    [configMapsOf(operatorNamespace), "own-state"],
    [leasesOf("moving"), "leader"],
    [leasesOf(operatorNamespace), "leader"],
  ] as const) {
    const answer = await create(loser, target, name);
    assert.equal(answer.status, 201, `${target}: ${answer.body}`);
  }
  const event = { metadata: { name: "told" }, involvedObject: { namespace: "moving", name: "source" } };
  const told = await loser.request({
    method: "POST",
    target: "/api/v1/namespaces/moving/events",
    body: event,
  });
  assert.equal(told.status, 201, told.body);

  mesh.cluster.pods.kill(operatorNamespace, podOf(0), "operator", "SIGCONT");
  await mesh.shardsReady(operatorNamespace);
  await ownersSettle(mesh, {
    [podOf(0)]: ["kept/source"],
    [podOf(1)]: ["moving/source", "theirs/source"],
  });
  assert.notEqual((await readPod(mesh, podOf(0))).uid, losing.uid);
  assert.equal((await create(gainer, configMapsOf("moving"), "after")).status, 201);
});
