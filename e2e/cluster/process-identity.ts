import { readFileSync } from "node:fs";

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
    const start = startOf(readFileSync(`/proc/${pid}/stat`, "utf8"));
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    return start === undefined ? undefined : { pid, start: `${boot}:${start}` };
  } catch {
    return undefined;
  }
}

/** Whether it is still the same process. */
export function isAlive({ pid, start }: ProcessIdentity): boolean {
  return identify(pid)?.start === start;
}

/** Field 22 of /proc/PID/stat; the second one, the program's name, may hold spaces and parentheses. */
export function startOf(stat: string): string | undefined {
  const [state, ...rest] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return state === "Z" || state === "X" ? undefined : rest[18];
}
