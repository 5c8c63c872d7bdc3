import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, linkSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { containers } from "#api/names";
import {
  applySource,
  operatorNamespace,
  ownersSettle,
  podNow,
  podOf,
  proxyMetric,
  type Shard,
  shardingConfig,
  startOperators,
} from "./digest-operators.ts";
import { eventually } from "./eventually.ts";
import { Mesh } from "./mesh.ts";
import { OwnershipJudge } from "./ownership-judge.ts";
import { clientAsOperator } from "./pod-client.ts";
import { listIn, namesIn, type RawClient, statusIn } from "./raw-client.ts";

/** A revoke that was acknowledged outlives the proxy's process, whatever its disk does. */

const sourcesTarget = "/api/v1/configmaps?labelSelector=example.com%2Fsource%3Dtrue";
/** The losing pod stays and must be held by its proxy alone. */
const relistAtOnce = { onLoss: "Relist", handover: { settleSeconds: 0 } };
const namespaces = ["kept", "moved", "other"];

function shards(a: readonly string[], b: readonly string[]): readonly [Shard, Shard] {
  return [
    { name: "digest-a", ordinal: 0, namespaces: a, spec: relistAtOnce },
    { name: "digest-b", ordinal: 1, namespaces: b, spec: relistAtOnce },
  ];
}

async function startedMesh(stack: AsyncDisposableStack) {
  const mesh = stack.use(await Mesh.open());
  const manager = await mesh.manager("ctrlmesh-manager-0", { extraArgs: ["--lease-duration-seconds=3"] });
  await manager.start();
  for (const namespace of namespaces) await mesh.namespace(namespace);
  for (const namespace of namespaces) await applySource(mesh, namespace, "one");
  await startOperators(mesh, shards(["kept", "moved"], ["other"]));
  await ownersSettle(mesh, { [podOf(0)]: ["kept/one", "moved/one"], [podOf(1)]: ["other/one"] });
  return { mesh, manager };
}

/** Moves a namespace away from pod 0; resolves at the moment when its proxy has acknowledged. */
async function revokeMoved(mesh: Mesh): Promise<void> {
  const { ip } = await podNow(mesh, 0);
  const revision = await proxyMetric(ip, "snapshot_revision");
  const acks = await acksOf(ip);
  for (const shard of shards(["kept"], ["other", "moved"])) await mesh.apply(shardingConfig(shard));
  await eventually("the losing proxy has acknowledged the smaller view", async () => {
    return (await proxyMetric(ip, "snapshot_revision")) > revision && (await acksOf(ip)) > acks;
  });
}

function acksOf(ip: string): Promise<number> {
  return proxyMetric(ip, 'control_events_total\\{event="acks"\\}');
}

/** Kills the proxy of pod 0, with the manager gone, and waits for its next process. */
async function restartProxy(mesh: Mesh): Promise<void> {
  const { restarts, ip } = await podNow(mesh, 0);
  assert.ok(mesh.cluster.pods.kill(operatorNamespace, podOf(0), containers.proxy, "SIGKILL"));
  await eventually("the proxy's next process is there", async () => {
    if ((await podNow(mesh, 0)).restarts === restarts) return false;
    return (await proxyMetric(ip, "control_stream_open")) === 0;
  });
}

async function writeTo(operator: RawClient, namespace: string) {
  const target = `/api/v1/namespaces/${namespace}/configmaps`;
  const metadata = { name: `written-${Date.now()}`, namespace };
  const body = { apiVersion: "v1", kind: "ConfigMap", metadata };
  return await operator.request({ method: "POST", target, body });
}

test("proxy killed after an acknowledged revoke, manager down: its next process gives nothing back", async () => {
  await using stack = new AsyncDisposableStack();
  const { mesh, manager } = await startedMesh(stack);
  const judge = stack.use(new OwnershipJudge(mesh));
  const operator = await clientAsOperator(mesh, podOf(0));
  await revokeMoved(mesh);
  await manager.stop("SIGKILL");
  const requestsBefore = mesh.requests.length;
  await restartProxy(mesh);
  const { uid, ip } = await podNow(mesh, 0);

  const list = listIn(await operator.request({ target: sourcesTarget }));
  assert.deepEqual(namesIn(list), ["kept/one"], "the list shows what it kept");
  const refused = await writeTo(operator, "moved");
  assert.equal(refused.status, 403, refused.body);
  assert.match(statusIn(refused).message, /"moved" has moved away/);
  assert.equal((await writeTo(operator, "kept")).status, 201, "the fence takes no more than was lost");
  assert.equal(await proxyMetric(ip, "snapshot_granted"), 1, "the snapshot of the revoke came from the disk");
  const later = mesh.requests.slice(requestsBefore).filter(({ podUid }) => podUid === uid);
  const seen = later.filter(({ verb, name }) => ["list", "watch"].includes(verb) && name === "");
  assert.ok(seen.length > 0, "the operator and we have listed");
  for (const { target, labelSelector, userAgent } of seen) {
    if (userAgent.startsWith("ctrlmesh-proxy")) continue; // its reads for floors
    assert.match(labelSelector, /ctrlmesh\.kusionstack\.io\/namespace/, target);
    assert.ok(!labelSelector.includes("moved"), target);
  }

  await manager.start();
  await mesh.shardsReady(operatorNamespace);
  await ownersSettle(mesh, { [podOf(0)]: ["kept/one"], [podOf(1)]: ["moved/one", "other/one"] });
  assert.equal((await podNow(mesh, 0)).uid, uid, "the losing pod was not replaced");
  assert.deepEqual(judge.ledgerFaults(), []);
});

test("proxy killed after a revoke that its full disk could not keep, manager down: its next process refuses all", async (t) => {
  await using stack = new AsyncDisposableStack();
  const { mesh, manager } = await startedMesh(stack);
  const { uid } = await podNow(mesh, 0);
  const folder = join(mesh.cluster.folder, "pods", uid, "volumes", "ctrlmesh-state");
  if (!mountTinyDisk(folder, stack, t)) return;
  const operator = await clientAsOperator(mesh, podOf(0));
  fillDisk(folder);
  assert.ok(existsSync(join(folder, "snapshot")), "the snapshot of before the revoke is on the disk");
  await revokeMoved(mesh);
  assert.ok(!existsSync(join(folder, "snapshot")), "the old snapshot was removed before the ack");
  await manager.stop("SIGKILL");
  await restartProxy(mesh);

  for (const namespace of ["kept", "moved"]) {
    const target = `/api/v1/namespaces/${namespace}/configmaps`;
    const list = await operator.request({ target });
    assert.equal(list.status, 429, list.body);
    assert.equal((await writeTo(operator, namespace)).status, 429);
  }
  assert.equal((await operator.request({ target: sourcesTarget })).status, 429);

  await manager.start();
  await mesh.shardsReady(operatorNamespace);
  // With the disk still full: what cannot be stored is in force all the same.
  const list = listIn(await operator.request({ target: sourcesTarget }));
  assert.deepEqual(namesIn(list), ["kept/one"]);
  assert.equal((await writeTo(operator, "moved")).status, 403);
});

/** Puts a disk of 32 KiB in the place of a folder, with the files that are there. Needs root and mount(8). */
function mountTinyDisk(folder: string, stack: AsyncDisposableStack, t: TestContext): boolean {
  const saved = mkdtempSync(`${folder}-`);
  stack.defer(() => rmSync(saved, { recursive: true, force: true }));
  cpSync(folder, saved, { recursive: true });
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=32k", "tmpfs", folder], {
    encoding: "utf8",
  });
  if (mounted.status !== 0) {
    t.skip(`no small disk can be mounted: ${mounted.error?.message ?? mounted.stderr.trim()}`);
    return false;
  }
  stack.defer(() => void spawnSync("umount", ["-l", folder]));
  cpSync(saved, folder, { recursive: true });
  return true;
}

/** Takes every page of a disk. The snapshot's stay taken when it is removed, since it has a second name. */
function fillDisk(folder: string): void {
  fillUp(folder, "ballast");
  linkSync(join(folder, "snapshot"), join(folder, "pinned"));
  fillUp(folder, "more-ballast");
}

function fillUp(folder: string, prefix: string): void {
  for (let count = 0; ; count++) {
    const ballast = join(folder, `${prefix}-${count}`);
    try {
      writeFileSync(ballast, Buffer.alloc(1));
    } catch (error) {
      assert.match(String(error), /ENOSPC/);
      rmSync(ballast, { force: true });
      return;
    }
  }
}
