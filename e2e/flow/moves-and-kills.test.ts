import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
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
import type { ManagerProcess } from "./manager-process.ts";
import { kinds, Mesh } from "./mesh.ts";
import { OwnershipJudge } from "./ownership-judge.ts";

const moves = 5;
const killsPerMove = 2;
/** A move takes about so long without a kill: revoke, ack, a new pod, grant, ack. */
const moveMs = 4_000;
const fixed = { "digest-a": ["team-a"], "digest-b": ["team-b"] };
/** They go from one shard to the other and back. */
const wandering = ["team-c", "team-d"];

/** Numbers of [0, 1) that follow from a seed (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function shards(owner: "digest-a" | "digest-b"): readonly [Shard, Shard] {
  const of = (name: keyof typeof fixed) => [...fixed[name], ...(name === owner ? wandering : [])];
  return [
    { name: "digest-a", ordinal: 0, namespaces: of("digest-a") },
    { name: "digest-b", ordinal: 1, namespaces: of("digest-b") },
  ];
}

async function podUids(mesh: Mesh): Promise<readonly string[]> {
  const pods = await mesh.list(kinds.pods, { namespace: operatorNamespace });
  return pods.map(({ metadata }) => metadata?.uid ?? "");
}

/** Kills a manager so many milliseconds after now, then after each start, and leaves it running. */
async function killAndStart(manager: ManagerProcess, killAfterMs: readonly number[]): Promise<void> {
  for (const ms of killAfterMs) {
    await new Promise((resolve) => setTimeout(resolve, ms));
    await manager.stop("SIGKILL");
    await manager.start();
  }
}

test("manager killed at random moments of moves: one owner at any time, and each move replaces one pod once", async (t) => {
  const seed = Number(process.env.CTRLMESH_TEST_SEED ?? randomInt(2 ** 31));
  t.diagnostic(`CTRLMESH_TEST_SEED=${seed}`);
  const random = randomFrom(seed);
  await using mesh = await Mesh.open();
  const manager = await mesh.manager("ctrlmesh-manager-0", { extraArgs: ["--lease-duration-seconds=2"] });
  await manager.start();
  const namespaces = [...Object.values(fixed).flat(), ...wandering];
  for (const namespace of namespaces) {
    await mesh.namespace(namespace);
    await applySource(mesh, namespace, "one");
  }
  await startOperators(mesh, shards("digest-a"));
  await using judge = new OwnershipJudge(mesh);

  for (let move = 1; move <= moves; move++) {
    const owner = move % 2 === 0 ? "digest-a" : "digest-b";
    const loser = podOf(owner === "digest-a" ? 1 : 0);
    const killAfterMs = Array.from({ length: killsPerMove }, () => Math.floor(random() * moveMs));
    const what = `move ${move} to ${owner}, manager killed ${killAfterMs.join(" and ")} ms into it (seed ${seed})`;
    const uidsBefore = await podUids(mesh);
    const requestsBefore = mesh.requests.length;
    const killing = killAndStart(manager, killAfterMs);
    for (const shard of shards(owner)) {
      // Our webhook checks ShardingConfigs, so none is changed while no manager is there.
      await eventually(`${what}: ${shard.name} is applied`, () =>
        mesh.apply(shardingConfig(shard)).then(() => true),
      );
    }
    // Objects change while their owner does.
    for (const namespace of wandering) await applySource(mesh, namespace, "one", `in move ${move}`);
    await killing;
    await mesh.shardsReady(operatorNamespace);
    const of = (name: keyof typeof fixed) =>
      (shards(owner).find((shard) => shard.name === name)?.namespaces ?? []).map((each) => `${each}/one`);
    await ownersSettle(mesh, { [podOf(0)]: of("digest-a"), [podOf(1)]: of("digest-b") });

    const created = mesh.requests
      .slice(requestsBefore)
      .filter(({ verb, resource, subresource, namespace, status }) => {
        const isPod = resource === "pods" && subresource === "" && namespace === operatorNamespace;
        return verb === "create" && isPod && status === 201;
      });
    const uidsAfter = await podUids(mesh);
    assert.equal(created.length, 1, `${what}: one pod of ${loser} was made anew`);
    assert.equal(
      uidsAfter.filter((uid) => uidsBefore.includes(uid)).length,
      1,
      `${what}: the gainer's pod stayed`,
    );
    assert.deepEqual(judge.ledgerFaults(), [], what);
  }
  judge.assertOneOwner(namespaces);
});
