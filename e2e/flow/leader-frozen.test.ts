import assert from "node:assert/strict";
import { test } from "node:test";
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
import type { ManagerProcess } from "./manager-process.ts";
import { ManagerService } from "./manager-service.ts";
import { kinds, Mesh } from "./mesh.ts";
import { OwnershipJudge } from "./ownership-judge.ts";

const extraArgs = ["--lease-duration-seconds=3"];
const namespaces = ["team-a", "team-b", "team-c"];

function shards(a: readonly string[], b: readonly string[]): readonly [Shard, Shard] {
  return [
    { name: "digest-a", ordinal: 0, namespaces: a },
    { name: "digest-b", ordinal: 1, namespaces: b },
  ];
}

/** Samples what is in force in every proxy, for as long as it lives, and keeps each step back that it saw. */
class InForceWatch implements AsyncDisposable {
  readonly stepsBack: string[] = [];
  samples = 0;
  readonly #mesh: Mesh;
  readonly #last = new Map<string, readonly [term: number, revision: number]>();
  readonly #running: Promise<void>;
  #ended = false;

  constructor(mesh: Mesh) {
    this.#mesh = mesh;
    this.#running = this.#run();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#ended) {
      for (const ordinal of [0, 1]) await this.#sample(ordinal).catch(() => {}); // between two pods
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async #sample(ordinal: number): Promise<void> {
    const { uid, ip } = await podNow(this.#mesh, ordinal);
    const term = await proxyMetric(ip, "snapshot_term");
    const now = [term, await proxyMetric(ip, "snapshot_revision")] as const;
    // Two requests: a switch between them would pair one term with another's revision.
    if ((await proxyMetric(ip, "snapshot_term")) !== term) return;
    const [lastTerm, lastRevision] = this.#last.get(uid) ?? [0, 0];
    this.samples += 1;
    if (now[0] < lastTerm || (now[0] === lastTerm && now[1] < lastRevision)) {
      this.stepsBack.push(`${podOf(ordinal)} from ${lastTerm}.${lastRevision} to ${now.join(".")}`);
    }
    this.#last.set(uid, now);
  }
}

async function currentTerm(mesh: Mesh): Promise<number> {
  const kind = { ...kinds.shardingConfigs, resource: "managerstates", namespaced: false };
  const { status } = await mesh.get(kind, undefined, "ctrlmesh-manager");
  return (status as { term?: number } | undefined)?.term ?? 0;
}

/** Applies a move and freezes the leader while it works on it; resolves with the term of the other replica. */
async function freezeInMove(
  mesh: Mesh,
  judge: OwnershipJudge,
  leader: ManagerProcess,
  moved: readonly [Shard, Shard],
): Promise<number> {
  const termBefore = await currentTerm(mesh);
  const seen = judge.ledgers.length;
  for (const shard of moved) await mesh.apply(shardingConfig(shard));
  await eventually("the leader revokes", () =>
    judge.ledgers.slice(seen).some(({ atoms }) => atoms.some(({ state }) => state === "Revoking")),
  );
  leader.signal("SIGSTOP");
  await eventually("the other replica leads", async () => (await currentTerm(mesh)) > termBefore);
  const term = await currentTerm(mesh);
  await eventually("the other replica has taken the ledger over", () => judge.ledgers.at(-1)?.term === term);
  return term;
}

async function thaw(leader: ManagerProcess): Promise<void> {
  const length = leader.log().length;
  leader.signal("SIGCONT");
  await eventually(
    "the frozen leader knows that it leads no more",
    () => leader.log().slice(length).includes('"leadership lost"'),
    { detail: () => leader.log().slice(length).slice(-3000) },
  );
}

test("leader stopped and continued: the next one's term wins, nothing that it grants is taken back", async () => {
  await using mesh = await Mesh.open();
  await using service = await ManagerService.listen();
  const options = { proxyManagerAddress: service.address, extraArgs };
  const first = await mesh.manager("ctrlmesh-manager-0", options);
  const second = await mesh.manager("ctrlmesh-manager-1", options);
  service.managers.push(first, second);
  await first.start();
  await second.start();
  for (const namespace of namespaces) await mesh.namespace(namespace);
  const sources: string[] = [];
  for (const namespace of namespaces) sources.push(await applySource(mesh, namespace, "one"));
  const [a = "", b = "", c = ""] = sources;
  await startOperators(mesh, shards(["team-a"], ["team-b", "team-c"]));
  await using judge = new OwnershipJudge(mesh);
  await using inForce = new InForceWatch(mesh);
  await ownersSettle(mesh, { [podOf(0)]: [a], [podOf(1)]: [b, c] });

  // Thawed when the other one has moved everything: streams, pods, grants.
  const termOfSecond = await freezeInMove(mesh, judge, first, shards(["team-a", "team-c"], ["team-b"]));
  await mesh.shardsReady(operatorNamespace);
  await ownersSettle(mesh, { [podOf(0)]: [a, c], [podOf(1)]: [b] });
  await thaw(first);
  assert.equal(await currentTerm(mesh), termOfSecond, "the second replica leads on");

  // Thawed at once: its streams are open, and its move is half done.
  const termOfFirst = await freezeInMove(mesh, judge, second, shards(["team-c"], ["team-a", "team-b"]));
  await thaw(second);
  await mesh.shardsReady(operatorNamespace);
  await ownersSettle(mesh, { [podOf(0)]: [c], [podOf(1)]: [a, b] });
  assert.equal(await currentTerm(mesh), termOfFirst, "the first replica leads on");
  assert.equal(judge.ledgers.at(-1)?.term, termOfFirst);

  assert.ok(inForce.samples > 50, `${inForce.samples} samples of what is in force`);
  assert.deepEqual(inForce.stepsBack, []);
  judge.assertOneOwner(namespaces);
});
