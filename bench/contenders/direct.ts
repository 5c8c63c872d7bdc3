import type { Contender } from "./contender.ts";

/** No proxy: the floor. */
export const direct: Contender = {
  name: "direct",
  rewrites: false,
  protocols: ["http1", "http2"],
  leftOut: () => undefined,
  start: async (bed) => ({
    port: bed.upstreamPort,
    pid: undefined,
    listening: undefined,
    [Symbol.asyncDispose]: async () => undefined,
  }),
};
