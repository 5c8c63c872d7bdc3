import { test } from "node:test";
import { interruption } from "./interruption.ts";
import { run } from "./run.ts";

/** A fixed budget each; `node e2e/watch/main.ts` goes on for as long as it is told. */
const deadlineMs = 10_000;
const signal = interruption();
const random = Math.floor(Math.random() * 1_000_000);
const given = process.env.CTRLMESH_WATCH_SEED;

const runs =
  given === undefined
    ? [
        { seed: 2, servers: 1 },
        { seed: 77, servers: 2 },
        { seed: random, servers: 1 },
      ]
    : [1, 2].map((servers) => ({ seed: Number(given), servers }));

for (const { seed, servers } of runs) {
  test(`watch: what clients are told is the filtered truth, with ${servers} API server(s) and seed ${seed}`, async (context) => {
    const { tally, steps, writes } = await run({
      seed,
      servers,
      clients: 3,
      steps: Number.POSITIVE_INFINITY,
      deadlineMs,
      print: () => undefined,
      signal,
    });
    context.diagnostic(`${steps} steps, ${writes} writes; ${tally}`);
  });
}
