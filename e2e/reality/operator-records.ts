import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** A line that the Go operator wrote: what its informer told it, or what it worked on. */
export interface OperatorRecord {
  /** RFC 3339. */
  readonly time: string;
  readonly pod: string;
  readonly event: "started" | "add" | "update" | "delete" | "reconcile";
  /** "namespace/name"; "/" for `started`. */
  readonly object: string;
  readonly uid: string;
}

/** All records so far, file by file, each in the order of writing. */
export function readRecords(folder: string): OperatorRecord[] {
  return readdirSync(folder).flatMap((file) =>
    readFileSync(join(folder, file), "utf8")
      .split("\n")
      .slice(0, -1) // what follows the last line feed is being written
      .map((line) => {
        const { namespace = "", name = "", uid = "", ...record } = JSON.parse(line);
        return { ...record, object: `${namespace}/${name}`, uid };
      }),
  );
}

/** Pods that have worked on each object, by "namespace/name". */
export function workersOf(records: readonly OperatorRecord[]): ReadonlyMap<string, ReadonlySet<string>> {
  const workers = new Map<string, Set<string>>();
  for (const { event, object, pod } of records) {
    if (event === "started") continue;
    workers.set(object, (workers.get(object) ?? new Set()).add(pod));
  }
  return workers;
}
