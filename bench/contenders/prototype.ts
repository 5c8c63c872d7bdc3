import { existsSync, mkdirSync, symlinkSync } from "node:fs";
import { join, resolve } from "node:path";
import { ContenderProcess, freePort } from "../contender-process.ts";
import type { Contender } from "./contender.ts";

/**
 * A splicing prototype that lies outside of this tree: `g.cjs` in the given folder, with certs/tls.key and
 * certs/tls.crt in its working folder, PORT and UPORT in its environment.
 */
export function prototypeIn(folder: string): Contender {
  const program = resolve(folder, "g.cjs");
  return {
    name: "prototype",
    rewrites: true,
    protocols: ["http1", "http2"],
    leftOut: () => (existsSync(program) ? undefined : `there is no ${program}`),
    start: async (bed) => {
      const port = await freePort();
      const cwd = bed.makeFolder("prototype");
      mkdirSync(join(cwd, "certs"));
      for (const name of ["tls.key", "tls.crt"]) symlinkSync(bed.path(name), join(cwd, "certs", name));
      const env = { PORT: String(port), UPORT: String(bed.upstreamPort) };
      const argv = [process.execPath, "--max-semi-space-size=1", program];
      return ContenderProcess.start({ argv, port, cwd, env });
    },
  };
}
