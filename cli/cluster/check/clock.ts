import type { Check } from "./check.ts";

/** Tokens and certificates tolerate minutes; elections and time stamps are read by people who compare them. */
const tolerableMs = 30_000;

/** Whether this machine's clock and the API server's agree: expiry below is judged by the API server's. */
export const clockCheck: Check = {
  name: "clock",
  phases: ["before", "after"],
  run: async ({ serverNowMs }) => {
    if (serverNowMs === undefined) return { summary: "the API server does not tell its time", findings: [] };
    const offMs = Date.now() - serverNowMs;
    const seconds = Math.round(Math.abs(offMs) / 1000);
    return {
      summary: `this machine and the API server are ${seconds} s apart`,
      findings:
        Math.abs(offMs) <= tolerableMs
          ? []
          : [
              {
                level: "warning",
                code: "ClockSkew",
                where: "this machine",
                what: `its clock is ${seconds} s ${offMs > 0 ? "ahead of" : "behind"} the API server's`,
                remedy: "synchronize the clocks (NTP) of this machine and of the control plane",
              },
            ],
    };
  },
};
