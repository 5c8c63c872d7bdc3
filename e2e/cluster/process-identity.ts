import { readdirSync, readFileSync } from "node:fs";

/**
 * A process over time: a process id alone may have been given to another one since. `start` is the boot's id with
 * the start in clock ticks since that boot (proc(5)).
 */
export interface ProcessIdentity {
  readonly pid: number;
  readonly start: string;
}

/** Undefined when no such process runs; one that has ended and waits for its parent (zombie) does not. */
export function identify(pid: number): ProcessIdentity | undefined {
  try {
    const { start, hasEnded } = parseStat(readFileSync(`/proc/${pid}/stat`, "utf8"));
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    return hasEnded && !hasRunningThread(pid) ? undefined : { pid, start: `${boot}:${start}` };
  } catch {
    return undefined;
  }
}

/** Whether it is still the same process. */
export function isAlive({ pid, start }: ProcessIdentity): boolean {
  return identify(pid)?.start === start;
}

/**
 * What /proc/PID/stat says: state (field 3) and start in clock ticks (22). The second field, the program's name, may
 * hold spaces and parentheses.
 */
export function parseStat(stat: string): { readonly start: string; readonly hasEnded: boolean } {
  const [state, ...rest] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return { start: rest[18] ?? "", hasEnded: state === "Z" || state === "X" };
}

/** The first thread of a process that is killed may end before the others, which hold what the process holds. */
function hasRunningThread(pid: number): boolean {
  const threads = readdirSync(`/proc/${pid}/task`).map((id) => `/proc/${pid}/task/${id}/stat`);
  return threads.some((path) => {
    try {
      return !parseStat(readFileSync(path, "utf8")).hasEnded;
    } catch {
      return false;
    }
  });
}
