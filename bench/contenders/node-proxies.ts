import { fileURLToPath } from "node:url";
import { ContenderProcess, freePort } from "../contender-process.ts";
import type { Contender } from "./contender.ts";

/** A program of this folder that gets its ports and certificates from the environment. */
function nodeProxy(name: "http-proxy-3" | "undici", file: string): Contender {
  return {
    name,
    rewrites: false,
    protocols: ["http1"],
    leftOut: () => undefined,
    start: async (bed) => {
      const port = await freePort();
      const program = fileURLToPath(new URL(file, import.meta.url));
      const env = {
        BENCH_PORT: String(port),
        BENCH_UPSTREAM_PORT: String(bed.upstreamPort),
        BENCH_CERT_FILE: bed.path("tls.crt"),
        BENCH_KEY_FILE: bed.path("tls.key"),
        BENCH_CA_FILE: bed.path("ca.crt"),
      };
      const argv = [process.execPath, "--max-semi-space-size=1", program];
      return ContenderProcess.start({ argv, port, env });
    },
  };
}

export const httpProxy3 = nodeProxy("http-proxy-3", "http-proxy-3-program.ts");
export const undici = nodeProxy("undici", "undici-program.ts");
