import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import type { StartTimes } from "../contender-process.ts";
import type { ContenderName } from "../metrics.ts";
import type { TestBed } from "../test-bed.ts";

/** What the client speaks. */
export type Protocol = "http1" | "http2";

/** One of those that are compared. */
export interface Contender {
  readonly name: ContenderName;
  /** Adds the selector by itself; before the others the client does. */
  readonly rewrites: boolean;
  readonly protocols: readonly Protocol[];
  /** Why it can't be measured here; undefined when it can. */
  readonly leftOut: () => string | undefined;
  start(bed: TestBed, options: StartOptions): Promise<RunningContender>;
}

export interface StartOptions {
  readonly protocol: Protocol;
  /** Whether the product finds its snapshot and certificate on disk, as after a restart. Default: it does. */
  readonly isFirstStart?: boolean;
}

/** Ready to be measured. */
export interface RunningContender extends AsyncDisposable {
  readonly port: number;
  /** Undefined: no proxy at all. */
  readonly pid: number | undefined;
  readonly listening: StartTimes | undefined;
  /** Absent for those that are ready as soon as they listen. */
  readonly ready?: StartTimes;
}

/** For `leftOut`: the Debian package that holds a missing program. */
export function withoutProgram(program: string): string | undefined {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin"];
  if (folders.some((folder) => existsSync(join(folder, program)))) return undefined;
  return `${program} is not installed; run: apt-get install ${program}`;
}
