import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onCi, root, type Tier, tiers } from "./tiers.ts";

/**
 * `npm test`: every tier that can run here, in order, then one line per tier: what ran, what was left out and
 * which command brings it in. On CI (`CI=true`) the real control planes are built first and a tier that is left
 * out is a failure. `npm test -- TIER...` runs these only.
 */

const only = process.argv.slice(2);

interface Outcome {
  readonly name: string;
  readonly state: "passed" | "failed" | "left out";
  readonly seconds: number;
  readonly note: string;
}

/** A tier that runs beside the others; what it prints is shown when it is over. */
interface Running {
  readonly tier: Tier;
  readonly child: ChildProcess;
  readonly ended: Promise<unknown>;
  readonly output: string;
  readonly start: number;
}

function start(tier: Tier, stdio: "inherit" | number): ChildProcess {
  const [program = "", ...args] = tier.argv();
  return spawn(program, args, {
    cwd: root,
    stdio: ["ignore", stdio, stdio],
    env: { ...process.env, ...tier.environment },
  });
}

async function run(tier: Tier): Promise<Outcome> {
  console.log(`== ${tier.name}`);
  const begun = performance.now();
  const child = start(tier, "inherit");
  await once(child, "close");
  return outcomeOf(tier, child, begun);
}

function runBeside(tier: Tier, folder: string): Running {
  const output = join(folder, `${tier.name}.log`);
  const file = openSync(output, "w");
  const begun = performance.now();
  const child = start(tier, file);
  closeSync(file);
  console.log(`== ${tier.name}: runs beside the others`);
  return { tier, child, ended: once(child, "close"), output, start: begun };
}

async function finish({ tier, child, ended, output, start: begun }: Running): Promise<Outcome> {
  if (child.exitCode === null && child.signalCode === null) console.log(`== waiting for ${tier.name}`);
  await ended;
  console.log(`== ${tier.name}\n${readFileSync(output, "utf8")}`);
  return outcomeOf(tier, child, begun);
}

function outcomeOf({ name }: Tier, child: ChildProcess, begun: number): Outcome {
  const seconds = (performance.now() - begun) / 1000;
  return { name, state: child.exitCode === 0 ? "passed" : "failed", seconds, note: "" };
}

function leftOutcome(name: string, note: string): Outcome {
  return { name, state: "left out", seconds: 0, note };
}

/** What is asked for by name runs if it can at all. */
function reasonToLeaveOut(tier: Tier): string | undefined {
  const reason = tier.leftOut?.();
  return reason?.includes(`npm test -- "${tier.name}"`) === true && only.includes(tier.name)
    ? undefined
    : reason;
}

const unknown = only.filter((name) => !tiers.some((tier) => tier.name === name));
if (unknown.length > 0) {
  console.error(
    `no such tier: ${unknown.join(", ")}; there are: ${tiers.map(({ name }) => name).join(", ")}`,
  );
  process.exit(2);
}
if (onCi) spawnSync("node", ["e2e/cluster/main.ts", "build", "--nodes"], { cwd: root, stdio: "inherit" });

const folder = mkdtempSync(join(tmpdir(), "ctrlmesh-gate-"));
const outcomes: Outcome[] = [];
const beside: Running[] = [];
for (const tier of tiers.filter(({ name }) => only.length === 0 || only.includes(name))) {
  const reason = reasonToLeaveOut(tier);
  if (reason !== undefined) outcomes.push(leftOutcome(tier.name, reason));
  else if (tier.isBackground === true) beside.push(runBeside(tier, folder));
  else outcomes.push(await run(tier));
}
for (const running of beside) outcomes.push(await finish(running));
rmSync(folder, { recursive: true, force: true });

console.log("\ntier                 state     seconds");
for (const { name, state, seconds, note } of outcomes) {
  const line = `${name.padEnd(20)} ${state.padEnd(9)} ${seconds.toFixed(1).padStart(7)}`;
  console.log(note === "" ? line : `${line}  ${note}`);
}
const failed = outcomes.some(({ state }) => state === "failed" || (onCi && state === "left out"));
process.exitCode = failed ? 1 : 0;
