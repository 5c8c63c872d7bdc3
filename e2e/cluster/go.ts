import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, globSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import { CtrlmeshError } from "#api/errors";
import { cacheDirectory } from "./versions.ts";

/**
 * Runs Go 1.26 for static programs of this machine's architecture. The user's own GOFLAGS are kept.
 *
 * @returns what it printed
 * @throws CHILD_PROCESS_FAILED with the end of what the compiler said
 */
export function go(args: readonly string[], cwd: string, environment: NodeJS.ProcessEnv = {}): string {
  const result = spawnSync("go", args, {
    cwd,
    env: {
      ...process.env,
      CGO_ENABLED: "0",
      GOFLAGS: `${process.env.GOFLAGS ?? ""} -buildvcs=false`.trim(),
      ...environment,
    },
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  if (result.status === 0) return result.stdout;
  throw new CtrlmeshError("CHILD_PROCESS_FAILED", {
    what: `go ${args.join(" ")} failed: ${(result.stderr ?? "").slice(-2000)}`,
    hint: "the parts of a real cluster are built with Go 1.26 from Go modules",
    cause: result.error,
  });
}

/** Compiles to a temporary name first, so that a build cut short leaves no half binary under the final one. */
export function compile(source: string, target: string, binary: string, flags: string): void {
  mkdirSync(dirname(binary), { recursive: true });
  const partial = `${binary}.${process.pid}.partial`;
  go(["build", "-ldflags", flags, "-o", partial, target], source);
  renameSync(partial, binary);
}

/**
 * Path of a program of ours, built once for each state of its source.
 *
 * @param source folder of its Go module
 * @throws CHILD_PROCESS_FAILED
 */
export function goProgram(name: string, source: string): string {
  const hash = createHash("sha256");
  for (const file of globSync("*.{go,mod,sum}", { cwd: source }).sort())
    hash.update(`${file}\0`).update(readFileSync(join(source, file)));
  const binary = join(cacheDirectory, `${name}-${hash.digest("hex").slice(0, 16)}`, name);
  if (!existsSync(binary)) compile(source, ".", binary, "-s -w");
  return binary;
}
