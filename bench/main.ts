import { writeFileSync } from "node:fs";
import { cases } from "./cases.ts";
import type { Contender } from "./contenders/contender.ts";
import { direct } from "./contenders/direct.ts";
import { go } from "./contenders/go.ts";
import { haproxy } from "./contenders/haproxy.ts";
import { nginx } from "./contenders/nginx.ts";
import { httpProxy3, undici } from "./contenders/node-proxies.ts";
import { Product } from "./contenders/product.ts";
import { prototypeIn } from "./contenders/prototype.ts";
import { describeMachine, takePlace } from "./machine.ts";
import { type BenchOptions, readOptions } from "./options.ts";
import { type RunOutcome, runCases } from "./run.ts";
import { judgementLines, resultLines, textTable } from "./table.ts";
import { isFailed, judge } from "./targets.ts";
import { TestBed } from "./test-bed.ts";

/**
 * `npm run bench [-- --json FILE] [--cases a,b] [--peers a,b] [--repetitions 5] [--quick] [--docs] [--long]
 * [--prototype DIR]`: the product beside its peers; see docs/performance.md. Ends with 1 when a hard target is missed.
 */

const policyRules = "the cost of 100 policy rules: there are no policies yet";

const progress = (line: string): void => void process.stderr.write(`${line}\n`);

async function measure(options: BenchOptions): Promise<RunOutcome> {
  takePlace();
  progress("building the Go programs and the bundle");
  await using bed = await TestBed.create();
  await using product = await Product.create(bed);
  const peers: readonly Contender[] = [
    direct,
    go,
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
  return { rows: outcome.rows, leftOut: [...missing, ...outcome.leftOut, policyRules] };
}

const options = readOptions(process.argv.slice(2));
const { rows, leftOut } = await measure(options);
const judgements = judge(rows);
console.log(describeMachine());
console.log(`\n${textTable(resultLines(rows))}`);
console.log(`\n${textTable(judgementLines(judgements.filter(({ row }) => row !== undefined)))}`);
for (const sentence of leftOut) console.log(`left out: ${sentence}`);
if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(rows, null, 2)}\n`);
process.exitCode = isFailed(judgements) ? 1 : 0;
