import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { CtrlmeshError } from "#api/errors";
import type { ControlPlane } from "./control-plane.ts";
import { identify, isAlive, type ProcessIdentity } from "./process-identity.ts";
import { cacheDirectory } from "./versions.ts";

/** A control plane that runs apart from the command that started it, as its state file has it. */
export interface RunningPlane {
  readonly version: string;
  readonly urls: readonly string[];
  readonly kubeconfig: string;
  /** Its temporary folder. */
  readonly directory: string;
  /** The process that owns it: on SIGTERM it ends the others and removes the folder. */
  readonly owner: ProcessIdentity;
  /** etcd and the parts of Kubernetes. */
  readonly parts: readonly ProcessIdentity[];
}

const main = fileURLToPath(new URL("main.ts", import.meta.url));
const pollMs = 50;
const stopTimeoutMs = 30_000;

function stateDirectory(): string {
  return join(cacheDirectory, "running");
}

function statePath(ownerPid: number): string {
  return join(stateDirectory(), `${ownerPid}.json`);
}

/** Writes down that this process owns a control plane; disposing the result forgets it. */
export function recordPlane({ version, urls, kubeconfig, directory, pids }: ControlPlane): Disposable {
  const owner = identify(process.pid);
  if (owner === undefined)
    throw new CtrlmeshError("INTERNAL", { what: "this system has no /proc to know processes by" });
  const parts = pids().flatMap((pid) => identify(pid) ?? []);
  const state: RunningPlane = { version, urls, kubeconfig, directory, owner, parts };
  const path = statePath(process.pid);
  mkdirSync(stateDirectory(), { recursive: true });
  writeFileSync(`${path}.partial`, JSON.stringify(state));
  renameSync(`${path}.partial`, path);
  return { [Symbol.dispose]: () => rmSync(path, { force: true }) };
}

/** Everything written down of which at least one process still runs; what has ended altogether is forgotten. */
export function runningPlanes(): RunningPlane[] {
  mkdirSync(stateDirectory(), { recursive: true });
  const files = readdirSync(stateDirectory()).filter((name) => name.endsWith(".json"));
  return files.flatMap((name) => {
    const path = join(stateDirectory(), name);
    // Written by recordPlane only.
    const plane = JSON.parse(readFileSync(path, "utf8")) as RunningPlane;
    if ([plane.owner, ...plane.parts].some(isAlive)) return [plane];
    forget(plane);
    return [];
  });
}

/**
 * Starts `main.ts` with these arguments as a process of its own and waits until it has written its state.
 *
 * @throws CHILD_PROCESS_FAILED with what it said when it ends before that
 */
export async function startInBackground(args: readonly string[]): Promise<RunningPlane> {
  mkdirSync(stateDirectory(), { recursive: true });
  const logPath = join(stateDirectory(), `start-${process.pid}.log`);
  const log = openSync(logPath, "w");
  const child = spawn(process.execPath, [main, ...args], {
    detached: true,
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  const ended = once(child, "exit");
  try {
    for (;;) {
      const plane = runningPlanes().find(({ owner }) => owner.pid === child.pid);
      if (plane !== undefined) return plane;
      if (child.exitCode !== null || child.signalCode !== null)
        throw new CtrlmeshError("CHILD_PROCESS_FAILED", { what: readFileSync(logPath, "utf8").trim() });
      await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, pollMs))]);
    }
  } finally {
    rmSync(logPath, { force: true });
    child.unref();
  }
}

/**
 * Ends a control plane: by its owner, or, when that one has crashed, process by process. Resolves when nothing of
 * it is left.
 *
 * @throws TIMEOUT when something still runs after 30 s
 */
export async function stopPlane(plane: RunningPlane): Promise<void> {
  const all = [plane.owner, ...plane.parts];
  if (isAlive(plane.owner)) process.kill(plane.owner.pid, "SIGTERM");
  else for (const part of plane.parts.filter(isAlive)) process.kill(part.pid, "SIGKILL");
  const deadline = performance.now() + stopTimeoutMs;
  while (all.some(isAlive)) {
    if (performance.now() > deadline)
      throw new CtrlmeshError("TIMEOUT", { what: `processes of ${plane.kubeconfig} do not end` });
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
  forget(plane);
}

function forget({ owner, directory }: RunningPlane): void {
  rmSync(directory, { recursive: true, force: true });
  rmSync(statePath(owner.pid), { force: true });
}
