import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { hierarchies } from "./cgroups.ts";
import { processesIn } from "./host-network.ts";
import { type ClusterRecord, clusterDirectory } from "./record.ts";

/**
 * All that a cluster can leave on this machine, one line each: processes that its files or control groups show up
 * with, mounts in any namespace, control groups, its end of the cable, its folder. Empty when it is gone.
 */
export function tracesOf({ name, cgroup, cable, network }: ClusterRecord): string[] {
  const directory = clusterDirectory(name);
  const inNetwork = network === undefined ? [] : processesIn(network);
  return [
    ...processTraces(`${directory}/`, cgroup),
    ...inNetwork.map(({ pid }) => `process ${pid} in its network`),
    ...hierarchies().flatMap((hierarchy) => present(join(hierarchy, cgroup))),
    ...present(`/sys/class/net/${cable}`),
    ...present(directory),
  ];
}

function present(path: string): string[] {
  return existsSync(path) ? [path] : [];
}

function processTraces(directory: string, cgroup: string): string[] {
  const pids = readdirSync("/proc").filter((entry) => /^\d+$/.test(entry));
  return pids.flatMap((pid) => {
    const isOf = (file: string, text: string): boolean => read(`/proc/${pid}/${file}`).includes(text);
    const where = [
      ...(isOf("cmdline", directory) ? ["its command line"] : []),
      ...(isOf("mountinfo", directory) ? ["a mount"] : []),
      ...(isOf("cgroup", `/${cgroup}`) ? ["its control group"] : []),
    ];
    const command = read(`/proc/${pid}/cmdline`).replaceAll("\0", " ").slice(0, 200);
    return where.map((fact) => `process ${pid} by ${fact}: ${command}`);
  });
}

/** Empty when the process has ended meanwhile. */
function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
