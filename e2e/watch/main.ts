import { parseArgs } from "node:util";
import { interruption } from "./interruption.ts";
import { run } from "./run.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: process.env.CTRLMESH_WATCH_SEED ?? "" },
    steps: { type: "string", default: "100" },
    servers: { type: "string", default: "1" },
    clients: { type: "string", default: "3" },
    minutes: { type: "string" },
    quiet: { type: "boolean", default: false },
  },
});

/** With minutes: seed after seed until they are over. */
const endMs = performance.now() + Number(values.minutes ?? 0) * 60_000;
let seed = values.seed === "" ? Math.floor(Math.random() * 1_000_000) : Number(values.seed);
const signal = interruption();
do {
  const startMs = performance.now();
  console.log(`seed ${seed}, ${values.servers} API server(s)`);
  const { steps, writes, tally } = await run({
    seed,
    servers: Number(values.servers),
    clients: Number(values.clients),
    steps: Number(values.steps),
    deadlineMs: values.minutes === undefined ? Number.POSITIVE_INFINITY : endMs - startMs,
    signal,
    print: values.quiet ? () => undefined : (line) => console.log(line),
  });
  const seconds = Math.round((performance.now() - startMs) / 1000);
  console.log(`seed ${seed}: ${steps} steps, ${writes} writes in ${seconds} s; ${tally}`);
  seed++;
} while (performance.now() < endMs);
