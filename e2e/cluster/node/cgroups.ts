import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Control groups of one cluster: one tree under the root of each hierarchy (cgroup v1) or of the only one (v2).
 * What the kubelet and the runtime make lies below.
 */
const defaultRoot = "/sys/fs/cgroup";

/** Mount points of the hierarchies: one for v2, one for each controller for v1. */
export function hierarchies(root = defaultRoot): string[] {
  if (existsSync(join(root, "cgroup.controllers"))) return [root];
  const mounts = readdirSync(root, { withFileTypes: true })
    // With v1 "cpu" may be a link to "cpu,cpuacct".
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => join(root, name));
  return mounts.filter((path) => existsSync(join(path, "cgroup.procs")));
}

/** Whether this machine has cgroup v1, which kubelets refuse unless they are told otherwise. */
export function isCgroupV1(root = defaultRoot): boolean {
  return !existsSync(join(root, "cgroup.controllers"));
}

/** Makes the tree's top in each hierarchy; what is there stays. */
export function makeCgroup(name: string, root = defaultRoot): void {
  if (!isCgroupV1(root)) giveControllersOn(root);
  for (const hierarchy of hierarchies(root)) {
    const path = join(hierarchy, name);
    mkdirSync(path, { recursive: true });
    // A new cpuset of v1 is empty, and no task may enter it before it has processors and memory.
    for (const file of ["cpuset.cpus", "cpuset.mems"]) {
      const inherited = join(hierarchy, file);
      if (isCgroupV1(root) && existsSync(inherited))
        writeFileSync(join(path, file), readFileSync(inherited, "utf8"));
    }
  }
}

/** With v2 a group has the controllers that its parent gives on; the kubelet takes one without them for missing. */
function giveControllersOn(path: string): void {
  const controllers = readFileSync(join(path, "cgroup.controllers"), "utf8").trim().split(/\s+/);
  const wanted = controllers.filter((name) => name !== "").map((name) => `+${name}`);
  writeFileSync(join(path, "cgroup.subtree_control"), wanted.join(" "));
}

/**
 * Removes the tree from all hierarchies.
 *
 * @returns false when something of it is left, because a task is in it: also one that has ended a moment ago
 */
export function removeCgroup(name: string, root = defaultRoot): boolean {
  return hierarchies(root)
    .map((hierarchy) => removeTree(join(hierarchy, name)))
    .every((isRemoved) => isRemoved);
}

function removeTree(path: string): boolean {
  if (!existsSync(path)) return true;
  for (const entry of readdirSync(path, { withFileTypes: true }))
    if (entry.isDirectory()) removeTree(join(path, entry.name));
  try {
    rmdirSync(path);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EBUSY" || code === "ENOTEMPTY") return false;
    throw error;
  }
}
