import { ContenderProcess, freePort } from "../contender-process.ts";
import { selector } from "../test-bed.ts";
import type { Contender } from "./contender.ts";

/** The Go program of `bench/go/peer`, which speaks HTTP/2 upstream. */
export const go: Contender = {
  name: "go",
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
    };
    const argv = Object.entries(flags).flatMap(([name, value]) => [`-${name}`, value]);
    return ContenderProcess.start({ argv: [bed.path("peer"), ...argv], port });
  },
};
