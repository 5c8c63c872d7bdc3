import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { judge, sentenceOf } from "./judge.ts";
import { readOptions, type SoakOptions, usage } from "./options.ts";
import { renderPlot } from "./plot.ts";
import type { SoakRecord } from "./record.ts";
import { plotOf, withFigures } from "./render.ts";
import { Soak } from "./soak.ts";

const docs = join(import.meta.dirname, "../../docs");
/** What the timetable does; other marks are worth a line. */
const planned = /^(restart|control stream|manager)/;

async function run(options: SoakOptions): Promise<number> {
  const startedAt = new Date().toISOString();
  const commit = commitNow();
  console.log(`soak of ${options.minutes} minutes, seed ${options.seed}`);
  // What was started has to be ended: the control plane would outlive this process.
  const interrupted = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => interrupted.abort());
  const outcome = await Soak.run(options, interrupted.signal);
  const record: SoakRecord = {
    startedAt,
    commit,
    node: process.version,
    command: `node e2e/soak/main.ts ${process.argv.slice(2).join(" ")}`,
    seed: options.seed,
    minutes: options.minutes,
    ...outcome,
  };
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(record)}\n`);
  if (options.plot !== undefined) writeFileSync(options.plot, plotted(record));
  return report(record);
}

/** Prints the verdict; returns the exit code. */
function report({ samples, marks, load, failure }: SoakRecord): number {
  const findings = judge(samples);
  for (const finding of findings) console.log(sentenceOf(finding));
  for (const [operation, outcomes] of Object.entries(load.answers)) {
    const counts = Object.entries(outcomes).map(([outcome, count]) => `${outcome}: ${count}`);
    console.log(`${operation}: ${counts.join(", ")}`);
  }
  for (const { atSeconds, what } of marks.filter((mark) => !planned.test(mark.what)))
    console.log(`at ${atSeconds} s: ${what}`);
  const { requests, requestsByProtocol, watchesOpened, watchesExpired, watchEvents, bookmarks } = load;
  console.log(
    `${requests} requests (${JSON.stringify(requestsByProtocol)}), ${watchesOpened} watches opened,`,
  );
  console.log(`${watchesExpired} expired, ${watchEvents} events, ${bookmarks} bookmarks`);
  for (const violation of load.firstViolations) console.log(`FAIL ${violation}`);
  if (failure !== undefined) console.log(`FAIL ${failure}`);
  const areGrowthsAllowed = findings.length > 0 && findings.every((finding) => finding.holds);
  const holds = areGrowthsAllowed && load.violations === 0 && failure === undefined;
  console.log(holds ? "the soak holds" : `the soak fails, ${load.violations} violations`);
  return holds ? 0 : 1;
}

function plotted(record: SoakRecord): string {
  return renderPlot(plotOf({ ...record, requests: record.load.requests }));
}

/** Puts a record's figures and plot into the docs. */
function render(record: SoakRecord): void {
  mkdirSync(join(docs, "soak"), { recursive: true });
  writeFileSync(join(docs, "soak/memory-and-sockets.svg"), plotted(record));
  const page = join(docs, "soak.md");
  writeFileSync(page, withFigures(readFileSync(page, "utf8"), record));
}

/** Of the record; a copy of the tree without its history has none. */
function commitNow(): string {
  const { status, stdout } = spawnSync("git", ["rev-parse", "HEAD"], {
    cwd: import.meta.dirname,
    encoding: "utf8",
  });
  return status === 0 ? stdout.trim() : "unknown";
}

async function main(): Promise<number> {
  const command = readOptions(process.argv.slice(2), process.env);
  switch (command.kind) {
    case "help":
      console.log(usage);
      return 0;
    case "render":
      render(JSON.parse(readFileSync(command.json, "utf8")));
      return 0;
    case "run":
      return await run(command.options);
  }
}

process.exitCode = await main();
