import { ContenderProcess, freePort } from "../contender-process.ts";
import type { PeerName } from "../metrics.ts";
import { selector, type TestBed } from "../test-bed.ts";
import type { Contender } from "./contender.ts";

/** A program of `bench/go`, which speaks HTTP/2 upstream. */
function goProgram(
  name: PeerName,
  program: string,
  flagsFor: (bed: TestBed) => Record<string, string>,
): Contender {
  return {
    name,
    rewrites: true,
    protocols: ["http1", "http2"],
    leftOut: () => undefined,
    start: async (bed) => {
      const port = await freePort();
      const flags = {
        listen: `127.0.0.1:${port}`,
        upstream: `127.0.0.1:${bed.upstreamPort}`,
        cert: bed.path("tls.crt"),
        key: bed.path("tls.key"),
        ca: bed.path("ca.crt"),
        selector,
        ...flagsFor(bed),
      };
      const argv = Object.entries(flags).flatMap(([flag, value]) => [`-${flag}`, value]);
      return ContenderProcess.start({ argv: [bed.path(program), ...argv], port });
    },
  };
}

/** With the features of the product: metrics, a control stream, Kubernetes' own libraries. */
export const go = goProgram("go", "peer", (bed) => ({ control: `localhost:${bed.controlPort}` }));

/** The reverse proxy alone. */
export const goBare = goProgram("go-bare", "bare", () => ({}));
