import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

/**
 * Loaded by `--import` into each Node process that runs as a container: makes the pod's volumes appear at their
 * mount paths, without root and without mount namespaces, by mapping paths at the edge of `node:fs`. Programs
 * that are not Node see the real file system.
 */

const mounts = (JSON.parse(process.env.DEVCLUSTER_MOUNTS ?? "[]") as [string, string][]).sort(
  (a, b) => b[0].length - a[0].length,
);

function mapped(path: unknown): unknown {
  if (path instanceof URL && path.protocol === "file:") return mapped(decodeURIComponent(path.pathname));
  if (typeof path !== "string") return path;
  for (const [mountPath, folder] of mounts) {
    if (path === mountPath) return folder;
    if (path.startsWith(`${mountPath}/`)) return folder + path.slice(mountPath.length);
  }
  return path;
}

type AnyFunction = (...args: unknown[]) => unknown;

/** Replaces a method by one that maps its first `pathCount` arguments. */
function wrap(owner: Record<string, unknown>, name: string, pathCount: number): void {
  const original = owner[name];
  if (typeof original !== "function") return;
  const inner = original as AnyFunction;
  owner[name] = Object.assign(function (this: unknown, ...args: unknown[]): unknown {
    return inner.apply(this, [...args.slice(0, pathCount).map(mapped), ...args.slice(pathCount)]);
  }, inner);
}

const onePath = [
  ...[
    "access",
    "appendFile",
    "chmod",
    "chown",
    "exists",
    "lstat",
    "mkdir",
    "mkdtemp",
    "open",
    "opendir",
    "readFile",
  ],
  ...[
    "readdir",
    "readlink",
    "realpath",
    "rm",
    "rmdir",
    "stat",
    "statfs",
    "truncate",
    "unlink",
    "utimes",
    "writeFile",
  ],
  ...["watch", "watchFile", "unwatchFile", "createReadStream", "createWriteStream"],
];
const twoPaths = ["copyFile", "cp", "link", "rename", "symlink"];

for (const [names, count] of [
  [onePath, 1],
  [twoPaths, 2],
] as const) {
  for (const name of names) {
    wrap(fs as unknown as Record<string, unknown>, name, count);
    wrap(fs as unknown as Record<string, unknown>, `${name}Sync`, count);
    wrap(fs.promises as unknown as Record<string, unknown>, name, count);
  }
}
syncBuiltinESMExports();
