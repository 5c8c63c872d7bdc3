import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { eventually } from "./eventually.ts";
import { root } from "./mesh.ts";

interface DemoReport {
  readonly exactlyOneOwner: boolean;
  readonly objects: { readonly total: number; readonly moved: number; readonly kept: number };
  readonly phases: readonly {
    readonly name: string;
    readonly shared: readonly string[];
    readonly shards: readonly object[];
  }[];
}

interface DemoRun {
  readonly child: ChildProcess;
  readonly output: { out: string; error: string };
}

function startDemo(folder: string, args: readonly string[], temporary = tmpdir()): DemoRun {
  const child = spawn(process.execPath, [join(folder, "cli/main.ts"), "demo", ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, TMPDIR: temporary },
  });
  const output = { out: "", error: "" };
  child.stdout?.on("data", (chunk: Buffer) => {
    output.out += chunk;
  });
  child.stderr?.on("data", (chunk: Buffer) => {
    output.error += chunk;
  });
  return { child, output };
}

async function runDemo(
  folder: string,
  args: readonly string[],
): Promise<DemoRun["output"] & { exitCode: number }> {
  const { child, output } = startDemo(folder, args);
  const [exitCode] = (await once(child, "close")) as [number];
  return { ...output, exitCode };
}

test("demo: ends by itself, and each object has exactly one owner before and after the move", async () => {
  const started = performance.now();
  const { exitCode, out, error } = await runDemo(root, ["--json"]);
  assert.equal(exitCode, 0, error);
  const report = JSON.parse(out) as DemoReport;
  assert.equal(report.exactlyOneOwner, true);
  assert.deepEqual(report.objects, { total: 60, moved: 10, kept: 50 });
  assert.equal(report.phases.length, 2);
  assert.ok(performance.now() - started < 60_000, `took ${performance.now() - started} ms`);
});

test("demo: without the selector stage of the proxy the proof fails", async () => {
  const copy = mkdtempSync(join(tmpdir(), "ctrlmesh-without-selector-"));
  try {
    const folders = [
      "api",
      "runtime",
      "kube",
      "proxy",
      "manager",
      "webhook",
      "cli",
      "devcluster",
      "crds",
      "examples",
    ];
    for (const folder of folders) cpSync(join(root, folder), join(copy, folder), { recursive: true });
    cpSync(join(root, "package.json"), join(copy, "package.json"));
    symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
    withoutSelectorStage(join(copy, "proxy/apiserver/pipeline.ts"));
    const { exitCode, out, error } = await runDemo(copy, ["--json"]);
    assert.equal(exitCode, 1, error);
    const report = JSON.parse(out) as DemoReport;
    assert.equal(report.exactlyOneOwner, false);
    assert.ok((report.phases[0]?.shared.length ?? 0) > 0, "objects are seen by both shards");
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
});

/** Takes the stage out of a copy of the pipeline; fails when the stage is not where it is looked for. */
function withoutSelectorStage(file: string): void {
  const source = readFileSync(file, "utf8");
  const stage = "andSelector(query, limit.escapedSelector)";
  assert.ok(source.includes(stage));
  writeFileSync(file, source.replace(stage, "query"));
}

test("demo --keep: runs until Ctrl-C, which leaves no process and no file behind", async () => {
  const temporary = mkdtempSync(join(tmpdir(), "ctrlmesh-keep-"));
  const { child, output } = startDemo(root, ["--keep"], temporary);
  try {
    await eventually("the demo says how to look further", () => output.error.includes("export KUBECONFIG="), {
      withinMs: 60_000,
      detail: () => output.error,
    });
    assert.ok(processesOf(child.pid).length > 3, "manager, proxies and operators run");
    const descendants = processesOf(child.pid);
    child.kill("SIGINT");
    await once(child, "close");
    const left = descendants.filter((pid) => isAlive(pid));
    assert.deepEqual(left, []);
    assert.deepEqual(readdirSync(temporary), []);
  } finally {
    child.kill("SIGKILL");
    rmSync(temporary, { recursive: true, force: true });
  }
});

/** All descendants of a process, from /proc. */
function processesOf(pid: number | undefined): readonly number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync("/proc").filter((entry) => /^[0-9]+$/.test(entry))) {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "utf8");
      parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]));
    } catch {
      // The process ended while we looked.
    }
  }
  const found: number[] = [];
  let generation = [pid ?? -1];
  while (generation.length > 0) {
    generation = [...parents].filter(([, parent]) => generation.includes(parent)).map(([child]) => child);
    found.push(...generation);
  }
  return found;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
