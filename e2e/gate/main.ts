import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { missingBinaries } from "../cluster/versions.ts";

/**
 * `npm test`: every tier that can run here, in order, then one line per tier: what ran, what was left out and
 * which command brings it in. On CI (`CI=true`) the real control plane is built first and a tier that is left
 * out is a failure.
 */

const root = fileURLToPath(new URL("../..", import.meta.url));
const onCi = process.env.CI === "true";
const only = process.argv.slice(2);

interface Tier {
  readonly name: string;
  readonly argv: () => readonly string[];
  /** Why the tier can't run here, with the command that changes it; undefined when it can. */
  readonly leftOut?: () => string | undefined;
}

interface Outcome {
  readonly name: string;
  readonly state: "passed" | "failed" | "left out";
  readonly seconds: number;
  readonly note: string;
}

const rooms = ["api", "runtime", "kube", "proxy", "manager", "webhook", "devcluster", "cli", "crds"];

const tiers: readonly Tier[] = [
  { name: "types", argv: () => ["tsc", "--noEmit"] },
  { name: "lint", argv: () => ["biome", "check", "--error-on-warnings", "."] },
  { name: "unit", argv: () => tests(`{${rooms.join(",")}}/**/*.test.ts`) },
  { name: "structure", argv: () => tests("e2e/*.test.ts") },
  { name: "integration", argv: () => tests("e2e/flow/**/*.test.ts") },
  { name: "real control plane", argv: () => tests("e2e/conformance/**/*.test.ts"), leftOut: withoutBinaries },
];

/** Two files at a time also on two cores, where Node would take one: whole flows wait more than they compute. */
const limits = ["--test-concurrency=2", "--test-timeout=300000"];

function tests(pattern: string): readonly string[] {
  const files = globSync(pattern, { cwd: root }).sort();
  return ["node", "--test", "--test-reporter=spec", ...limits, ...files];
}

function withoutBinaries(): string | undefined {
  if (onCi && missingBinaries().length > 0)
    spawnSync("node", ["e2e/cluster/main.ts", "build"], { cwd: root, stdio: "inherit" });
  const missing = missingBinaries();
  return missing.length === 0
    ? undefined
    : `${missing.length} binaries are not built; run: npm run cluster -- build (Go 1.26, about 6 minutes once)`;
}

function run(tier: Tier): Outcome {
  const reason = tier.leftOut?.();
  if (reason !== undefined) return { name: tier.name, state: "left out", seconds: 0, note: reason };
  console.log(`== ${tier.name}`);
  const [program = "", ...args] = tier.argv();
  const start = performance.now();
  const { status } = spawnSync(program, args, { cwd: root, stdio: "inherit" });
  const seconds = (performance.now() - start) / 1000;
  return { name: tier.name, state: status === 0 ? "passed" : "failed", seconds, note: "" };
}

const outcomes = tiers.filter(({ name }) => only.length === 0 || only.includes(name)).map(run);
console.log("\ntier                 state     seconds");
for (const { name, state, seconds, note } of outcomes) {
  console.log(
    `${name.padEnd(20)} ${state.padEnd(9)} ${seconds.toFixed(1).padStart(7)}${note === "" ? "" : `  ${note}`}`,
  );
}
const failed = outcomes.some(({ state }) => state === "failed" || (onCi && state === "left out"));
process.exitCode = failed ? 1 : 0;
