import assert from "node:assert/strict";
import { test } from "node:test";
import {
  applySource,
  operatorNamespace,
  ownersSettle,
  podNow,
  podOf,
  proxyMetric,
  readDigest,
  readRecords,
  startOperators,
} from "./digest-operators.ts";
import { eventually, throughout } from "./eventually.ts";
import { Mesh } from "./mesh.ts";
import { OwnershipJudge } from "./ownership-judge.ts";

const downMs = 60_000;
/** Operators write a record each 500 ms; the machine may be busy with other tests. */
const silenceMs = 5_000;

test("manager killed for 60 s: operators go on, no watch is cut, and nothing restarts when it is back", async () => {
  await using mesh = await Mesh.open();
  const manager = await mesh.manager("ctrlmesh-manager-0", { extraArgs: ["--lease-duration-seconds=3"] });
  await manager.start();
  for (const namespace of ["team-a", "team-b"]) await mesh.namespace(namespace);
  const sources = [await applySource(mesh, "team-a", "one"), await applySource(mesh, "team-b", "one")];
  await startOperators(mesh, [
    { name: "digest-a", ordinal: 0, namespaces: ["team-a"] },
    { name: "digest-b", ordinal: 1, namespaces: ["team-b"] },
  ]);
  await using judge = new OwnershipJudge(mesh);
  const owners = { [podOf(0)]: [sources[0] ?? ""], [podOf(1)]: [sources[1] ?? ""] };
  await ownersSettle(mesh, owners);
  const before = [await podNow(mesh, 0), await podNow(mesh, 1)];
  const termBefore = await proxyMetric(before[0]?.ip ?? "", "snapshot_term");
  const listsBefore = (await readRecords(mesh)).map(({ pod, lists }) => ({ pod, lists }));

  await manager.stop("SIGKILL");
  const requestsBefore = mesh.requests.length;
  const killedMs = performance.now();
  const remainingMs = () => downMs - (performance.now() - killedMs);
  let stalest = "";
  const recordsAreFresh = async () => {
    const records = await readRecords(mesh);
    const stale = records.filter(({ writtenAt }) => Date.now() - Date.parse(writtenAt) > silenceMs);
    stalest = JSON.stringify(stale);
    return records.length === 2 && stale.length === 0;
  };
  for (const round of [1, 2, 3]) {
    await throughout(
      `records are written (${round})`,
      remainingMs() / (4 - round) - 1_000,
      recordsAreFresh,
      () => stalest,
    );
    for (const [ordinal, source] of sources.entries()) {
      const [namespace = "", name = ""] = source.split("/");
      const { digest } = await readDigest(mesh, source);
      await applySource(mesh, namespace, name, `changed in round ${round}`);
      await eventually(`the owner of ${source} writes its new digest while the manager is down`, async () => {
        const now = await readDigest(mesh, source);
        return now.digest !== digest && now.writtenBy === podOf(ordinal);
      });
    }
  }
  await throughout("records are written (to the end)", remainingMs(), recordsAreFresh, () => stalest);
  const uids = before.map(({ uid }) => uid);
  const readsOf = (from: number) =>
    mesh.requests
      .slice(from)
      .filter(({ podUid, verb }) => uids.includes(podUid) && (verb === "list" || verb === "watch"));
  assert.deepEqual(readsOf(requestsBefore), [], "no list and no watch came from the operators' pods");

  await manager.start();
  await mesh.shardsReady(operatorNamespace);
  await eventually("each proxy has a stream again and the new leader's snapshot", async () => {
    for (const { ip } of before) {
      if ((await proxyMetric(ip, "control_stream_open")) !== 1) return false;
      if ((await proxyMetric(ip, "snapshot_term")) <= termBefore) return false;
    }
    return true;
  });
  await ownersSettle(mesh, owners);
  assert.deepEqual(
    [await podNow(mesh, 0), await podNow(mesh, 1)],
    before,
    "same pods, no container restarted",
  );
  const listsAfter = (await readRecords(mesh)).map(({ pod, lists }) => ({ pod, lists }));
  assert.deepEqual(listsAfter, listsBefore, "no informer listed again");
  assert.deepEqual(readsOf(requestsBefore), [], "the new leader's snapshots cut no watch");
  judge.assertOneOwner(["team-a", "team-b"]);
});
