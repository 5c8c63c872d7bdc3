import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism, cpus, totalmem } from "node:os";

/** Who runs where: the proxy under test has a core of its own, everything else shares the other. */
export const proxyCore = 0;
const restCore = 1;

/**
 * Pins this process, and so whatever it starts, to the core of client and upstream.
 *
 * @throws with the reason why it can't measure here
 */
export function takePlace(): void {
  if (availableParallelism() < 2) throw new Error("the benchmark needs two cores");
  const { status, error } = spawnSync("taskset", ["-acp", String(restCore), String(process.pid)]);
  if (status !== 0) throw new Error(`taskset does not work here: ${error?.message ?? `status ${status}`}`);
}

/** Resident memory of a process in MiB. */
export function residentMiB(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
}

/** One line on where figures were taken. */
export function describeMachine(): string {
  const model = cpus()[0]?.model ?? "unknown processor";
  const memoryGiB = (totalmem() / 2 ** 30).toFixed(0);
  return `${model}, ${cpus().length} cores, ${memoryGiB} GiB, Node ${process.versions.node}`;
}
