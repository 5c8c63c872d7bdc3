import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startControlPlane } from "../cluster/control-plane.ts";
import { type HttpAnswer, httpClient, negotiates, type Transport } from "./client.ts";
import { bookmarkCount, gzipLength, laterBookmark } from "./masks.ts";
import { asWritten, differencesOf, isNeeded, masksOf, run, withSelector } from "./outcome.ts";
import type { Row, Scene } from "./row.ts";
import { lists } from "./rows/lists.ts";
import { otherReads } from "./rows/other-reads.ts";
import { versionMatrix } from "./rows/versions.ts";
import { watches } from "./rows/watches.ts";
import { writes } from "./rows/writes.ts";
import { type Stage, setStage, shardSelector } from "./stage.ts";

/**
 * The same requests sent directly and through the proxy, in the name of the same operator. Each row is sent three
 * times: twice directly, which shows what differs by itself, and once through the proxy.
 */

const reads = [...lists, ...versionMatrix, ...watches, ...otherReads];
const transports: readonly Transport[] = ["http1", "http2"];
/** Rows that read, at a time: most of a watch is waiting. */
const concurrency = 12;

interface Outcome {
  readonly direct: readonly HttpAnswer[];
  readonly again: readonly HttpAnswer[];
  readonly proxied: readonly HttpAnswer[];
}

let stage: Stage;
const outcomes = new Map<string, Outcome | Error>();
const isServed = new Map<Transport, boolean>();

before(async () => {
  stage = await setStage(
    await startControlPlane({ featureGates: { CBORServingAndStorage: true, ShardedListAndWatch: true } }),
  );
  for (const transport of transports) {
    const isH2 = transport === "http2";
    isServed.set(transport, !isH2 || (await negotiates(stage.proxied, "h2")));
    if (isServed.get(transport)) await play(transport);
  }
});

after(async () => {
  await stage?.[Symbol.asyncDispose]();
});

async function play(transport: Transport): Promise<void> {
  await using direct = httpClient(transport, stage.direct);
  await using proxied = httpClient(transport, stage.proxied);
  const directly = (row: Row, scene: Scene) =>
    settled(
      "direct",
      run(row, scene, direct, (step) => withSelector(step, shardSelector)),
    );
  const throughProxy = (row: Row, scene: Scene) => settled("proxied", run(row, scene, proxied, asWritten));
  const compareAll = async (rows: readonly Row[], width: number): Promise<void> => {
    const [one, two, three] = await scenes();
    const first = await inParallel(rows, width, (row) => directly(row, one));
    // Between the two a list's version and the clock go on.
    await nextSecond(() => stage.admin.ok(["create", "configmap", `between-${++writesBetween}`, "-n", "op"]));
    const rest = await inParallel(rows, width, (row) =>
      Promise.all([directly(row, two), throughProxy(row, three)]),
    );
    rows.forEach((row, index) => {
      const runs = [first[index], ...(rest[index] ?? [])];
      const [failed] = runs.filter((answers) => answers instanceof Error);
      const [left = [], middle = [], right = []] = runs.map((answers) =>
        Array.isArray(answers) ? answers : [],
      );
      outcomes.set(`${transport} ${row.name}`, failed ?? { direct: left, again: middle, proxied: right });
    });
  };
  await compareAll(reads, concurrency);
  await compareAll(writes, 1);
}

let writesBetween = 0;

/** Three twins of three seconds. */
async function scenes(): Promise<[Scene, Scene, Scene]> {
  return [await stage.scene(), await nextSecond(stage.scene), await nextSecond(stage.scene)];
}

async function settled(side: string, answers: Promise<HttpAnswer[]>): Promise<HttpAnswer[] | Error> {
  return answers.catch((cause: unknown) => new Error(`${side}: ${cause}`, { cause }));
}

/** Results in the order of the rows. */
async function inParallel<T>(
  rows: readonly Row[],
  width: number,
  each: (row: Row) => Promise<T>,
): Promise<T[]> {
  const results: T[] = [];
  const queue = [...rows.entries()];
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift())
        results[next[0]] = await each(next[1]);
    }),
  );
  return results;
}

/** Runs in a second of the clock that nothing before was in: times of objects are in whole seconds. */
async function nextSecond<T>(callback: () => Promise<T>): Promise<T> {
  await new Promise((resolve) => setTimeout(resolve, 1000 - (Date.now() % 1000)));
  return callback();
}

for (const transport of transports) {
  test(`differential ${transport}`, async (context) => {
    assert.ok(isServed.get(transport), `the proxy does not negotiate ${transport}`);
    for (const row of [...reads, ...writes]) {
      await context.test(`${transport}: ${row.name}`, () => {
        const outcome = outcomes.get(`${transport} ${row.name}`);
        if (outcome instanceof Error || outcome === undefined) throw outcome ?? new Error("not run");
        judge(row, outcome);
      });
    }
  });
}

function judge(row: Row, { direct, again, proxied }: Outcome): void {
  const masks = masksOf(row);
  assert.deepEqual(differencesOf(direct, again, masks), [], "control: twice directly");
  assert.deepEqual(differencesOf(again, proxied, masks), [], "directly | through the proxy");
  assert.deepEqual(
    direct.map(({ status }) => status),
    row.statuses,
    "statuses",
  );
  const certain = row.masks.filter(({ byChance }) => byChance !== true);
  const needless = certain.filter((mask) => !isNeeded(mask, row, direct, again));
  assert.deepEqual(needless, [], "control: masks that nothing needs");
}

test("control: each mask that is for every row, or hides what is equal by chance, is needed by some row", () => {
  const rows = [...reads, ...writes];
  const needed = new Set(
    rows.flatMap((row) => {
      const outcome = outcomes.get(`http1 ${row.name}`);
      if (outcome === undefined || outcome instanceof Error) return [];
      return masksOf(row).filter((mask) => isNeeded(mask, row, outcome.direct, outcome.again));
    }),
  );
  const all = new Set(rows.flatMap(masksOf));
  // How often a timer rings, and how well one body compresses, is not in our hands.
  for (const mask of [bookmarkCount, laterBookmark, gzipLength]) all.delete(mask);
  assert.deepEqual(
    [...all].filter((mask) => !needed.has(mask)),
    [],
  );
});
