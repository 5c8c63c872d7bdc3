import assert from "node:assert/strict";
import { test } from "node:test";
import type { Condition } from "#api/meta";
import type { LedgerAtom } from "#api/ownership-ledger";
import type { ResourceKind } from "#kube/client/client";
import {
  applySource,
  deleteShard,
  operatorNamespace,
  ownersSettle,
  podNow,
  podOf,
  shardingConfig,
  startOperators,
} from "./digest-operators.ts";
import { eventually, throughout } from "./eventually.ts";
import { conditionsOf, kinds, Mesh } from "./mesh.ts";
import { OwnershipJudge } from "./ownership-judge.ts";
import { clientAsOperator } from "./pod-client.ts";
import { statusIn } from "./raw-client.ts";

/** ShardingConfigs that come, overlap and go while operators run. */

const signal = new AbortController().signal;
const statefulSets: ResourceKind = {
  group: "apps",
  version: "v1",
  resource: "statefulsets",
  namespaced: true,
};
const namespaces = ["team-a", "team-b", "team-c"];
const [a, b, c] = ["team-a/one", "team-b/one", "team-c/one"] as const;

/** Two shards with a pod each; nobody claims team-c. */
async function startedMesh(stack: AsyncDisposableStack): Promise<Mesh> {
  const mesh = stack.use(await Mesh.open());
  const manager = await mesh.manager();
  await manager.start();
  for (const namespace of namespaces) {
    await mesh.namespace(namespace);
    await applySource(mesh, namespace, "one");
  }
  await startOperators(mesh, [
    { name: "digest-a", ordinal: 0, namespaces: ["team-a"] },
    { name: "digest-b", ordinal: 1, namespaces: ["team-b"] },
  ]);
  await ownersSettle(mesh, { [podOf(0)]: [a], [podOf(1)]: [b] });
  return mesh;
}

async function scale(mesh: Mesh, replicas: number): Promise<void> {
  const name = { namespace: operatorNamespace, name: "digest-operator" };
  await mesh.client.patch(statefulSets, name, { type: "merge", body: { spec: { replicas } } }, { signal });
}

/** "True NoPods": status and reason of a condition that speaks of the newest spec; undefined without it. */
async function conditionOf(mesh: Mesh, shard: string, type: string): Promise<string | undefined> {
  const config = await mesh.get(kinds.shardingConfigs, operatorNamespace, shard);
  const isCurrent = (each: Condition) => each.observedGeneration === config.metadata?.generation;
  const found = conditionsOf(config).find((each) => each.type === type && isCurrent(each));
  return found === undefined ? undefined : `${found.status} ${found.reason}`;
}

function awaitCondition(mesh: Mesh, shard: string, type: string, wanted: string): Promise<void> {
  let seen: string | undefined;
  return eventually(
    `${type} of ${shard} is ${wanted}`,
    async () => {
      seen = await conditionOf(mesh, shard, type);
      return seen === wanted;
    },
    { detail: () => `it is ${seen}` },
  );
}

function atomNow(judge: OwnershipJudge, namespace: string): LedgerAtom | undefined {
  return judge.ledgers.at(-1)?.atoms.find(({ atom }) => atom === `namespace/${namespace}`);
}

async function pending(mesh: Mesh, shard: string): Promise<string | undefined> {
  const { status } = await mesh.get(kinds.shardingConfigs, operatorNamespace, shard);
  return (status as { atoms?: { pending?: string } } | undefined)?.atoms?.pending;
}

test("ShardingConfig without pods: says so, keeps what it claims from others, and serves its first pod", async () => {
  await using stack = new AsyncDisposableStack();
  const mesh = await startedMesh(stack);
  const judge = stack.use(new OwnershipJudge(mesh));
  await mesh.apply(shardingConfig({ name: "digest-c", ordinal: 2, namespaces: ["team-c"] }));
  await awaitCondition(mesh, "digest-c", "NoPods", "True NoPods");
  await awaitCondition(mesh, "digest-c", "Ready", "False NoPods");
  for (const shard of ["digest-a", "digest-b"]) await awaitCondition(mesh, shard, "Ready", "True Granted");
  assert.equal(atomNow(judge, "team-c")?.shard, "digest-c");
  await ownersSettle(mesh, { [podOf(0)]: [a], [podOf(1)]: [b] });

  await scale(mesh, 3);
  await mesh.shardsReady(operatorNamespace);
  assert.equal(await conditionOf(mesh, "digest-c", "NoPods"), undefined);
  await ownersSettle(mesh, { [podOf(0)]: [a], [podOf(1)]: [b], [podOf(2)]: [c] });
  judge.assertOneOwner(namespaces);
});

test("ShardingConfig deleted: its pods have nothing before it goes, and others get what was its own once they end", async () => {
  await using stack = new AsyncDisposableStack();
  const mesh = await startedMesh(stack);
  const judge = stack.use(new OwnershipJudge(mesh));
  const operator = await clientAsOperator(mesh, podOf(1));
  const { uid } = await podNow(mesh, 1);
  const target = "/api/v1/configmaps";
  assert.equal((await operator.request({ target })).status, 200);
  const { metadata } = await mesh.get(kinds.shardingConfigs, operatorNamespace, "digest-b");
  assert.equal(metadata?.finalizers?.length, 1, "the finalizer was there before the deletion");

  // Frozen, the proxy cannot acknowledge that it has nothing any more.
  const proxy = [operatorNamespace, podOf(1), "ctrlmesh-proxy"] as const;
  assert.ok(mesh.cluster.pods.kill(...proxy, "SIGSTOP"));
  await deleteShard(mesh, "digest-b");
  await awaitCondition(mesh, "digest-b", "Deleting", "True Revoking");
  await throughout("the ShardingConfig stays while its pod may act", 2_000, async () => {
    const { metadata: now } = await mesh.get(kinds.shardingConfigs, operatorNamespace, "digest-b");
    return now?.deletionTimestamp !== undefined;
  });
  assert.ok(mesh.cluster.pods.kill(...proxy, "SIGCONT"));
  await eventually("the ShardingConfig is gone", async () => {
    const configs = await mesh.list(kinds.shardingConfigs, { namespace: operatorNamespace });
    return configs.every(({ metadata: each }) => each?.name !== "digest-b");
  });
  const refused = await operator.request({ target });
  assert.equal(refused.status, 429, refused.body);
  assert.match(statusIn(refused).message, /digest-b/);
  const write = { method: "DELETE", target: "/api/v1/namespaces/team-b/configmaps/one" };
  assert.equal((await operator.request(write)).status, 429);

  await mesh.apply(shardingConfig({ name: "digest-a", ordinal: 0, namespaces: ["team-a", "team-b"] }));
  await awaitCondition(mesh, "digest-a", "Granted", "False PartlyPending");
  assert.equal((await podNow(mesh, 1)).uid, uid, "nobody replaced the pod: its next one would have no proxy");
  assert.equal(atomNow(judge, "team-b")?.state, "Revoking");
  await scale(mesh, 1);
  await mesh.shardsReady(operatorNamespace);
  await ownersSettle(mesh, { [podOf(0)]: [a, b] });
  judge.assertOneOwner(namespaces);
});

test("ShardingConfigs that overlap: the newcomer waits with a condition until the holder lets go", async () => {
  await using stack = new AsyncDisposableStack();
  const mesh = await startedMesh(stack);
  const judge = stack.use(new OwnershipJudge(mesh));
  const elderUid = (await podNow(mesh, 0)).uid;
  await mesh.apply(
    shardingConfig({ name: "digest-b", ordinal: 1, namespaces: ["team-a", "team-b", "team-c"] }),
  );
  await awaitCondition(mesh, "digest-b", "Overlap", "True ClaimedTwice");
  await awaitCondition(mesh, "digest-b", "Granted", "False PartlyPending");
  await eventually(
    "team-a alone is pending",
    async () => (await pending(mesh, "digest-b")) === "namespaces team-a",
  );
  await ownersSettle(mesh, { [podOf(0)]: [a], [podOf(1)]: [b, c] });
  assert.equal(atomNow(judge, "team-a")?.shard, "digest-a");
  assert.equal((await podNow(mesh, 0)).uid, elderUid, "the holder was left alone");

  await mesh.apply(shardingConfig({ name: "digest-a", ordinal: 0, namespaces: ["team-d"] }));
  await mesh.shardsReady(operatorNamespace);
  assert.equal(await conditionOf(mesh, "digest-b", "Overlap"), undefined);
  await ownersSettle(mesh, { [podOf(0)]: [], [podOf(1)]: [a, b, c] });
  judge.assertOneOwner(namespaces);
});
