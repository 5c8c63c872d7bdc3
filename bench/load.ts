import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import type { TestBed } from "./test-bed.ts";

/** What the load program prints: times in milliseconds, memory in MiB. */
export interface LoadResult {
  readonly count: number;
  readonly errors: number;
  readonly wrongSelectors: number;
  readonly firstError: string;
  readonly bytes: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly rssBeforeMiB: number;
  readonly rssMiB: number;
  readonly peakMiB: number;
}

/** Flags of the load program without their dash; see `bench/go/load`. */
export type LoadFlags = Readonly<Record<string, string | number>>;

/**
 * Runs the load program to its end.
 *
 * @throws when a single answer was wrong: figures of wrong answers are no figures
 */
export async function runLoad(bed: TestBed, flags: LoadFlags): Promise<LoadResult> {
  const argv = Object.entries({ ca: bed.path("ca.crt"), ...flags }).flatMap(([name, value]) => [
    `-${name}`,
    String(value),
  ]);
  const child = spawn(bed.path("load"), argv, { stdio: ["ignore", "pipe", "inherit"] });
  const output = await text(child.stdout);
  // The program's own type, printed by its encoder.
  const result = JSON.parse(output === "" ? "{}" : output) as LoadResult;
  if (result.errors === 0 && result.count > 0) return result;
  throw new Error(`${result.errors} errors, ${result.count} right answers; first: ${result.firstError}`);
}
