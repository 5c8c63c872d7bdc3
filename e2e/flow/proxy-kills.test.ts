import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { parseSelector, selectorMatches } from "#api/label-selector";
import { containers, defaultExemptNamespaces, defaultShardLabels } from "#api/names";
import type { RequestRecord } from "#devcluster/request-log";
import {
  applySource,
  bucketOfNamespace,
  installOperator,
  operatorNamespace,
  ownersSettle,
  podNow,
  podOf,
  readRecords,
  type Shard,
  shardingConfig,
} from "./digest-operators.ts";
import { eventually } from "./eventually.ts";
import { Mesh } from "./mesh.ts";
import { clientAsOperator } from "./pod-client.ts";

const ordinals = [0, 1, 2, 3] as const;
const operatorUser = `system:serviceaccount:${operatorNamespace}:digest-operator`;
/** Each shard keeps its home; the wanderers go from shard to shard. */
const homeOf = (ordinal: number) => `home-${ordinal}`;
const wanderers = ["wanderer-0", "wanderer-1"];
const namespaces = [...ordinals.map(homeOf), ...wanderers];
const neverUsed = "example.com/never-used";
const trafficPauseMs = 250;

test("proxy kills: over 100 at random moments, and not one limited list, watch or deletion without the selector", async (t) => {
  const seed = Number(process.env.SEED ?? randomInt(2 ** 31));
  t.diagnostic(`seed ${seed}; run again with SEED=${seed}`);
  await using mesh = await Mesh.open({ maxRestartDelayMs: 50 });
  // A killed leader's lease must lapse before the next one leads.
  const manager = await mesh.manager("ctrlmesh-manager-0", { extraArgs: ["--lease-duration-seconds=3"] });
  await manager.start();
  for (const namespace of namespaces) {
    await mesh.namespace(namespace);
    await applySource(mesh, namespace, "source");
  }
  await mesh.namespace(operatorNamespace, true);
  for (const shard of shardsWith([0, 1])) await mesh.apply(shardingConfig(shard));
  await installOperator(mesh, ordinals.length);
  await eventually("all pods run their proxies", async () =>
    (await Promise.all(ordinals.map((ordinal) => podNow(mesh, ordinal)))).every(({ ip }) => ip !== ""),
  );
  const killer = new ProxyKiller(mesh, randomFrom(seed));

  // Fresh pods without a snapshot: first without a manager, then with one that comes back meanwhile.
  await manager.stop("SIGKILL");
  await killer.kill(16, { withinMs: 500 });
  await Promise.all([manager.start(), killer.kill(16, { withinMs: 400 })]);
  await mesh.shardsReady(operatorNamespace);
  await ownersSettle(mesh, ownersWith([0, 1]));
  const runsBefore = await operatorRuns(mesh);

  {
    await using _traffic = await Traffic.start(mesh);
    await killer.kill(24, { withinMs: 1500 });
    await ownersSettle(mesh, ownersWith([0, 1]));

    await manager.stop("SIGKILL");
    await killer.kill(24, { withinMs: 1000 });
    await ownersSettle(mesh, ownersWith([0, 1]));
    await manager.start();

    for (const at of [
      [1, 2],
      [2, 3],
      [3, 0],
    ] as const) {
      for (const shard of shardsWith(at)) await mesh.apply(shardingConfig(shard));
      await Promise.all([mesh.shardsReady(operatorNamespace), killer.kill(10, { withinMs: 800 })]);
    }
    await mesh.shardsReady(operatorNamespace);
    await ownersSettle(mesh, ownersWith([3, 0]));
  }

  t.diagnostic(`${killer.kills} kills, ${killer.beforeSnapshot} of them before the first snapshot`);
  assert.ok(killer.kills > 100);
  assert.ok(killer.beforeSnapshot > 10);
  assertAllFiltered(t, mesh);
  assert.deepEqual(await operatorRuns(mesh), runsBefore, "the operators went on living");
  const pods = await Promise.all(ordinals.map((ordinal) => podNow(mesh, ordinal)));
  const restarts = pods.reduce((sum, pod) => sum + pod.restarts, 0);
  assert.equal(restarts, killer.kills, "nothing but our kills ended a proxy");
});

/** Shards by ordinal; the wanderers live in the shards that are given. */
function shardsWith(homesOfWanderers: readonly number[]): readonly Shard[] {
  return ordinals.map((ordinal) => ({
    name: `digest-${ordinal}`,
    ordinal,
    namespaces: claimOf(ordinal, homesOfWanderers),
    // The operators keep running while namespaces move.
    spec: { onLoss: "Relist", handover: { settleSeconds: 0 } },
  }));
}

function claimOf(ordinal: number, homesOfWanderers: readonly number[]): string[] {
  return [homeOf(ordinal), ...wanderers.filter((_, index) => homesOfWanderers[index] === ordinal)];
}

function ownersWith(homesOfWanderers: readonly number[]): Record<string, readonly string[]> {
  return Object.fromEntries(
    ordinals.map((ordinal) => [
      podOf(ordinal),
      claimOf(ordinal, homesOfWanderers).map((namespace) => `${namespace}/source`),
    ]),
  );
}

/** What tells one run of an operator's process from another. */
async function operatorRuns(mesh: Mesh): Promise<readonly string[]> {
  const records = await readRecords(mesh);
  return records.map(({ pod, startedAt }) => `${pod} since ${startedAt}`).sort();
}

/** Kills proxies, all pods at once, each at a random moment of its life. */
class ProxyKiller {
  kills = 0;
  beforeSnapshot = 0;
  readonly #mesh: Mesh;
  readonly #random: () => number;

  constructor(mesh: Mesh, random: () => number) {
    this.#mesh = mesh;
    this.#random = random;
  }

  /** @param moments each kill comes within this time after its process was seen */
  async kill(count: number, moments: { readonly withinMs: number }): Promise<void> {
    let left = count;
    await Promise.all(
      ordinals.map(async (ordinal) => {
        while (left-- > 0) await this.#killOnce(ordinal, this.#random() * moments.withinMs);
      }),
    );
  }

  async #killOnce(ordinal: number, afterMs: number): Promise<void> {
    const pod = podOf(ordinal);
    const { uid, restarts } = await podNow(this.#mesh, ordinal);
    await new Promise((resolve) => setTimeout(resolve, afterMs));
    const snapshot = join(this.#mesh.cluster.folder, "pods", uid, "volumes", "ctrlmesh-state", "snapshot");
    await eventually(`the proxy of ${pod} runs`, () =>
      this.#mesh.cluster.pods.kill(operatorNamespace, pod, containers.proxy, "SIGKILL"),
    );
    this.kills++;
    if (!existsSync(snapshot)) this.beforeSnapshot++;
    await eventually(`the proxy of ${pod} was started again`, async () => {
      return (await podNow(this.#mesh, ordinal)).restarts > restarts;
    });
  }
}

/**
 * What the example operator does not do itself: lists in pages and by namespace, short watches and deletions of
 * collections, as each pod's operator.
 */
class Traffic implements AsyncDisposable {
  readonly #stop = new AbortController();
  #running: Promise<unknown> = Promise.resolve();

  static async start(mesh: Mesh): Promise<Traffic> {
    const traffic = new Traffic();
    const clients = await Promise.all(ordinals.map((ordinal) => clientAsOperator(mesh, podOf(ordinal))));
    const collection = "/api/v1/configmaps";
    const requests = [
      { target: `${collection}?limit=2` },
      { target: `/api/v1/namespaces/${wanderers[0]}/configmaps` },
      { target: `${collection}?watch=true&timeoutSeconds=1` },
      { target: `${collection}?watch=1&resourceVersion=1&timeoutSeconds=1` },
      {
        method: "DELETE",
        target: `/api/v1/namespaces/${wanderers[1]}/configmaps?labelSelector=${encodeURIComponent(neverUsed)}`,
      },
    ];
    traffic.#running = Promise.all(
      clients.flatMap((client) =>
        requests.map(async (request) => {
          while (!traffic.#stop.signal.aborted) {
            // No connection, a cut one, 410, 429: all as it should be while proxies die.
            await client.request(request).catch(() => undefined);
            await new Promise((resolve) => setTimeout(resolve, trafficPauseMs));
          }
        }),
      ),
    );
    return traffic;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }
}

/** Reads the API server's request log: what came from the operators' pods, by whatever client. */
function assertAllFiltered(t: TestContext, mesh: Mesh): void {
  const own = mesh.requests.filter((request) => isLimited(request));
  const unfiltered = own.filter((request) => !isFiltered(request));
  assert.deepEqual(
    unfiltered.map(({ verb, target, userAgent, status }) => `${verb} ${target} ${userAgent} ${status}`),
    [],
  );
  const uids = new Set(own.map(({ podUid }) => podUid));
  assert.equal(uids.size, ordinals.length, "each pod stands in the log");
  const counts = new Map<string, number>();
  for (const { verb } of own) counts.set(verb, (counts.get(verb) ?? 0) + 1);
  t.diagnostic(`requests with the selector: ${JSON.stringify(Object.fromEntries(counts))}`);
  for (const verb of ["list", "watch", "deletecollection"]) {
    assert.ok((counts.get(verb) ?? 0) > 20, `${verb} stands in the log: ${counts.get(verb)}`);
  }
}

function isLimited({ user, verb, group, resource, namespace }: RequestRecord): boolean {
  return (
    user === operatorUser &&
    ["list", "watch", "deletecollection"].includes(verb) &&
    group === "" &&
    resource === "configmaps" &&
    ![operatorNamespace, "ctrlmesh", ...defaultExemptNamespaces].includes(namespace)
  );
}

/** Whether a request shows one shard at most: one home, and the wanderers that may be there. */
function isFiltered({ labelSelector }: RequestRecord): boolean {
  const requirements = parseSelector(labelSelector);
  const seen = namespaces.filter((namespace) =>
    selectorMatches(requirements, {
      [defaultShardLabels.namespace]: namespace,
      [defaultShardLabels.hash]: String(bucketOfNamespace(namespace)),
      [defaultShardLabels.control]: "true",
      "example.com/source": "true",
      [neverUsed]: "true",
    }),
  );
  const homes = seen.filter((namespace) => !wanderers.includes(namespace));
  return requirements.some(({ key }) => key === defaultShardLabels.namespace) && homes.length === 1;
}

/** mulberry32: a small generator with a seed. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
