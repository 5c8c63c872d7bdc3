import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { cases } from "./cases.ts";
import { plotsOf } from "./charts.ts";
import type { Contender } from "./contenders/contender.ts";
import { direct } from "./contenders/direct.ts";
import { go, goBare } from "./contenders/go.ts";
import { haproxy } from "./contenders/haproxy.ts";
import { nginx } from "./contenders/nginx.ts";
import { httpProxy3, undici } from "./contenders/node-proxies.ts";
import { Product } from "./contenders/product.ts";
import { prototypeIn } from "./contenders/prototype.ts";
import { measureLongMemory } from "./long-memory.ts";
import { describeMachine, takePlace } from "./machine.ts";
import { type BenchOptions, readOptions } from "./options.ts";
import { type StoredRun, withResults } from "./performance-page.ts";
import type { ResultRow } from "./results.ts";
import { type RunOutcome, runCases } from "./run.ts";
import { judgementLines, resultLines, textTable } from "./table.ts";
import { isFailed, judge } from "./targets.ts";
import { TestBed } from "./test-bed.ts";

/**
 * `npm run bench [-- --json FILE] [--cases a,b] [--peers a,b] [--repetitions 5] [--quick] [--docs] [--long]
 * [--prototype DIR]`: the product beside its peers; see docs/performance.md. Ends with 1 when a hard target
 * is missed, with 2 when there are no figures.
 */

const policyRules = "the cost of 100 policy rules: there are no policies yet";
const longMemory =
  "memory after 1,000,000 requests and 100,000 watches: takes ten minutes, asked for by --long";

const docs = fileURLToPath(new URL("../docs", import.meta.url));

const progress = (line: string): void => void process.stderr.write(`${line}\n`);

async function measure(options: BenchOptions): Promise<RunOutcome> {
  takePlace();
  progress("building the Go programs and the bundle");
  await using bed = await TestBed.create();
  await using product = await Product.create(bed);
  const peers: readonly Contender[] = [
    direct,
    go,
    goBare,
    haproxy,
    nginx,
    httpProxy3,
    undici,
    ...(options.prototype === undefined ? [] : [prototypeIn(options.prototype)]),
  ].filter(({ name }) => options.peers.some((chosen) => chosen === name));
  const missing = peers.flatMap((peer) => peer.leftOut() ?? []);
  const outcome = await runCases(bed, {
    cases: cases.filter(({ name }) => options.cases.includes(name)),
    contenders: [product, ...peers.filter((peer) => peer.leftOut() === undefined)],
    repetitions: options.repetitions,
    timing: options.timing,
    progress,
  });
  const long = await measureLong(bed, product, options);
  return {
    rows: [...outcome.rows, ...long],
    leftOut: [...missing, ...outcome.leftOut, ...(options.isLong ? [] : [longMemory]), policyRules],
  };
}

async function measureLong(bed: TestBed, product: Product, options: BenchOptions): Promise<ResultRow[]> {
  const rows: ResultRow[] = [];
  if (!options.isLong) return rows;
  for (const protocol of product.protocols) {
    const name = protocol === "http1" ? "memory" : "memory-h2";
    if (!options.cases.includes(name)) continue;
    progress(name);
    rows.push(await measureLongMemory(bed, product, protocol));
  }
  return rows;
}

function writeDocs(run: StoredRun): void {
  mkdirSync(`${docs}/performance`, { recursive: true });
  const plots = plotsOf(run.rows);
  for (const { file, svg } of plots) writeFileSync(`${docs}/performance/${file}`, svg);
  writeFileSync(`${docs}/performance/results.json`, `${JSON.stringify(run, null, 2)}\n`);
  const page = `${docs}/performance.md`;
  writeFileSync(page, withResults(readFileSync(page, "utf8"), run, plots));
}

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2));
  const { rows, leftOut } = await measure(options);
  const judgements = judge(rows);
  const machine = describeMachine();
  console.log(machine);
  console.log(`\n${textTable(resultLines(rows))}`);
  console.log(`\n${textTable(judgementLines(judgements.filter(({ row }) => row !== undefined)))}`);
  for (const sentence of leftOut) console.log(`left out: ${sentence}`);
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(rows, null, 2)}\n`);
  if (options.writesDocs) {
    const date = new Date().toISOString().slice(0, 10);
    const measuredSeconds = options.timing.measuredMs / 1000;
    writeDocs({ date, machine, repetitions: options.repetitions, measuredSeconds, rows, leftOut });
  }
  return isFailed(judgements) ? 1 : 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  progress(`bench: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 2;
}
