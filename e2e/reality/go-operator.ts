import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { CtrlmeshError } from "#api/errors";
import { cacheDirectory } from "../cluster/versions.ts";

const source = fileURLToPath(new URL("../../examples/operator-go", import.meta.url));

/**
 * Path of the Go operator's program, built when its source has changed. Cold: about 2 minutes on 2 cores.
 *
 * @throws CHILD_PROCESS_FAILED with the end of the compiler's output
 */
export function buildGoOperator(): string {
  const folder = join(cacheDirectory, `operator-go-${sourceHash()}`);
  const program = join(folder, "operator-go");
  if (existsSync(program)) return program;
  mkdirSync(folder, { recursive: true });
  const partial = `${program}.${process.pid}`;
  const { status, stderr, error } = spawnSync("go", ["build", "-ldflags", "-s -w", "-o", partial, "."], {
    cwd: source,
    env: { ...process.env, CGO_ENABLED: "0", GOFLAGS: "-buildvcs=false" },
    encoding: "utf8",
  });
  if (status !== 0)
    throw new CtrlmeshError("CHILD_PROCESS_FAILED", {
      what: `the Go operator is not built: ${(stderr ?? "").slice(-2000)}`,
      hint: "it needs Go 1.26",
      cause: error,
    });
  renameSync(partial, program);
  return program;
}

function sourceHash(): string {
  const hash = createHash("sha256");
  const files = readdirSync(source).filter((name) => /^go\.(mod|sum)$|\.go$/.test(name));
  for (const name of files.sort()) hash.update(`${name}\0`).update(readFileSync(join(source, name)));
  return hash.digest("hex").slice(0, 16);
}
