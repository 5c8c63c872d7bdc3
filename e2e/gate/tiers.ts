import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { reasonAgainstNodes } from "../cluster/node/requirements.ts";
import { kubernetesVersion, missingBinaries, olderKubernetesVersion } from "../cluster/versions.ts";

export const root = fileURLToPath(new URL("../..", import.meta.url));
export const onCi = process.env.CI === "true";

export interface Tier {
  readonly name: string;
  readonly argv: () => readonly string[];
  /** Runs beside the other tiers, from the start on, and is waited for at the end. */
  readonly isBackground?: boolean;
  readonly environment?: Readonly<Record<string, string>>;
  /** Why the tier is left out, with the command that brings it in; undefined when it runs. */
  readonly leftOut?: () => string | undefined;
}

const rooms = [
  "api",
  "runtime",
  "kube",
  "proxy",
  "manager",
  "webhook",
  "devcluster",
  "cli",
  "crds",
  "bench",
  "build",
];
/** Half a minute and more each: of no use to whoever only wants to know whether it works here. */
const longFlows = [
  "flow/commands",
  "flow/config-life",
  "flow/injection-modes",
  "flow/leader-frozen",
  "flow/manager-down",
  "flow/manager-killed",
  "flow/moves-and-kills",
  "flow/new-kind-labels",
  "flow/old-snapshot",
  "flow/proxy-kills",
  "flow/refused-proxy",
  "flow/resumed-watch",
  "flow/uninstall",
  "flow/webhook-relay",
  "peers/leaks",
].map((name) => `e2e/${name}.test.ts`);
/** Two files at a time also on two cores, where Node would take one: whole flows wait more than they compute. */
const limits = ["--test-concurrency=2", "--test-timeout=300000"];

function tests(pattern: string, except: readonly string[] = []): readonly string[] {
  const files = globSync(pattern, { cwd: root })
    .sort()
    .filter((file) => !except.includes(file));
  return ["node", "--test", "--test-reporter=spec", ...limits, ...files];
}

function withoutBinaries(): string | undefined {
  const missing = missingBinaries();
  return missing.length === 0
    ? undefined
    : `${missing.length} binaries are not built; run: npm run cluster -- build (Go 1.26, about 6 minutes a version, once)`;
}

function withoutNodes(): string | undefined {
  const reason = reasonAgainstNodes([kubernetesVersion, olderKubernetesVersion]);
  return reason === undefined ? undefined : `${reason}; run: npm run e2e (as root, on Linux)`;
}

function withoutGo(): string | undefined {
  return spawnSync("go", ["version"]).status === 0
    ? undefined
    : "Go is not installed; run again with Go 1.26 on the PATH";
}

/** What takes minutes runs where the real parts stand, on CI, and when it is asked for by name. */
function onlyWithRealParts(name: string): () => string | undefined {
  return () =>
    onCi || missingBinaries().length === 0 ? undefined : `takes minutes; run: npm test -- "${name}"`;
}

export const tiers: readonly Tier[] = [
  {
    name: "soak",
    argv: () => ["node", "e2e/soak/main.ts", "--downstream", "mixed"],
    isBackground: true,
    leftOut: withoutBinaries,
  },
  { name: "types", argv: () => ["tsc", "--noEmit"] },
  { name: "lint", argv: () => ["biome", "check", "--error-on-warnings", "."] },
  { name: "unit", argv: () => tests(`{${rooms.join(",")}}/**/*.test.ts`) },
  {
    name: "structure",
    argv: () => tests("e2e/{*,cluster/command-line,cluster/process-identity,soak/*}.test.ts"),
  },
  { name: "integration", argv: () => tests("e2e/{flow,peers}/**/*.test.ts", longFlows) },
  {
    name: "long flows",
    argv: () => tests(`{${longFlows.join(",")}}`),
    leftOut: onlyWithRealParts("long flows"),
  },
  { name: "go", argv: () => ["node", "e2e/gate/go.ts"], leftOut: withoutGo },
  {
    name: "fuzz",
    argv: () => tests("e2e/fuzz/**/*.test.ts"),
    environment: onCi ? { CTRLMESH_FUZZ_INPUTS: "50000" } : {},
    leftOut: withoutGo,
  },
  {
    name: "real control plane",
    argv: () => tests("e2e/{conformance,differential,watch,reality,check,cluster}/**/*.test.ts"),
    leftOut: () => withoutGo() ?? withoutBinaries(),
  },
  {
    name: "whole clusters",
    argv: () => tests("{e2e/cluster/node/*.e2e.ts,e2e/chart/*.test.ts,e2e/journeys/**/*.test.ts}"),
    leftOut: () => withoutGo() ?? withoutNodes(),
  },
];
