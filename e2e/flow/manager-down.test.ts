import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubernetesObject } from "#api/meta";
import { defaultShardLabels } from "#api/names";
import {
  applySource,
  bucketOfNamespace,
  ownersSettle,
  podOf,
  readDigest,
  type Shard,
  startOperators,
} from "./digest-operators.ts";
import { eventually } from "./eventually.ts";
import { kinds, Mesh } from "./mesh.ts";
import { OwnershipJudge } from "./ownership-judge.ts";

const buckets = Array.from({ length: 32 }, (_, bucket) => bucket);
const shards: readonly Shard[] = [
  { name: "digest-low", ordinal: 0, buckets: buckets.slice(0, 16) },
  { name: "digest-high", ordinal: 1, buckets: buckets.slice(16) },
];

function ordinalOf(namespace: string): number {
  return bucketOfNamespace(namespace) < 16 ? 0 : 1;
}

/** The first names of a series that fall to each of the shards, so many of each. */
function namespacesOfBothShards(prefix: string, each: number): readonly string[] {
  const names = Array.from({ length: 64 }, (_, index) => `${prefix}-${index}`);
  return [0, 1].flatMap((ordinal) => names.filter((name) => ordinalOf(name) === ordinal).slice(0, each));
}

function ownersOf(sources: readonly string[]): Record<string, readonly string[]> {
  const of = (ordinal: number) => sources.filter((name) => ordinalOf(name.split("/")[0] ?? "") === ordinal);
  return { [podOf(0)]: of(0), [podOf(1)]: of(1) };
}

function shardLabelsOf({ metadata }: KubernetesObject): readonly (string | undefined)[] {
  return Object.values(defaultShardLabels).map((key) => metadata?.labels?.[key]);
}

test("manager down: objects and namespaces created meanwhile are labelled when it is back and reach one shard", async () => {
  await using mesh = await Mesh.open();
  // The lease of a killed leader must lapse before the next one leads.
  const manager = await mesh.manager("ctrlmesh-manager-0", { extraArgs: ["--lease-duration-seconds=3"] });
  await manager.start();
  const present = namespacesOfBothShards("here", 1);
  for (const namespace of present) await mesh.namespace(namespace);
  const sources: string[] = [];
  for (const namespace of present) sources.push(await applySource(mesh, namespace, "before"));
  await startOperators(mesh, shards);
  await using judge = new OwnershipJudge(mesh);
  await ownersSettle(mesh, ownersOf(sources));

  await manager.stop("SIGKILL");
  const absent = namespacesOfBothShards("later", 2);
  for (const namespace of absent) await mesh.namespace(namespace);
  const later: string[] = [];
  for (const namespace of [...present, ...absent]) {
    for (const name of ["one", "two"]) later.push(await applySource(mesh, namespace, name));
  }
  for (const source of later) {
    const [namespace = "", name = ""] = source.split("/");
    const object = await mesh.get(kinds.configMaps, namespace, name);
    assert.deepEqual(shardLabelsOf(object), [undefined, undefined, undefined], `${source} has no labels yet`);
  }
  // What nobody labelled is seen by nobody: closed, not by everybody.
  await ownersSettle(mesh, ownersOf(sources));

  const backMs = performance.now();
  await manager.start();
  await eventually("all that was created meanwhile has its labels", async () => {
    for (const namespace of absent) {
      const wanted = [String(bucketOfNamespace(namespace)), namespace, "true"];
      const object = await mesh.get(kinds.namespaces, undefined, namespace);
      if (shardLabelsOf(object).join() !== wanted.join()) return false;
    }
    for (const source of later) {
      const [namespace = "", name = ""] = source.split("/");
      const wanted = [String(bucketOfNamespace(namespace)), namespace, "true"];
      const object = await mesh.get(kinds.configMaps, namespace, name);
      if (shardLabelsOf(object).join() !== wanted.join()) return false;
    }
    return true;
  });
  const labelledMs = performance.now() - backMs;
  assert.ok(labelledMs < 10_000, `labelled ${labelledMs} ms after the manager was started`);
  sources.push(...later);
  await ownersSettle(mesh, ownersOf(sources));
  for (const source of sources) {
    await eventually(`${source} has the digest of its owner`, async () => {
      const { writtenBy } = await readDigest(mesh, source);
      return writtenBy === podOf(ordinalOf(source.split("/")[0] ?? ""));
    });
  }
  judge.assertOneOwner([...present, ...absent]);
});
