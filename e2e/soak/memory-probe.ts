import { renameSync, writeFileSync } from "node:fs";
import { Socket } from "node:net";
import { queryObjects } from "node:v8";

/**
 * Loaded into the proxy in front of the program (`--expose-gc --import`): at each SIGUSR2 it collects and writes
 * what is left to the file that SOAK_PROBE_FILE names. The program itself knows nothing of it.
 */

const file = process.env.SOAK_PROBE_FILE ?? "";
const anyTimer = setTimeout(() => undefined, 0);
const Timer = anyTimer.constructor;
clearTimeout(anyTimer);
let count = 0;

process.on("SIGUSR2", () => {
  const { rss } = process.memoryUsage();
  globalThis.gc?.();
  // What the first collection found dead runs its destructors before the next turn; their memory goes with the second.
  setImmediate(() => {
    globalThis.gc?.();
    const { heapUsed, external, arrayBuffers } = process.memoryUsage();
    const resources: Record<string, number> = {};
    for (const type of process.getActiveResourcesInfo()) resources[type] = (resources[type] ?? 0) + 1;
    const figures = {
      heapBytes: heapUsed,
      externalBytes: external,
      arrayBufferBytes: arrayBuffers,
      rssBytes: rss,
      socketObjects: queryObjects(Socket, { format: "count" }),
      timerObjects: queryObjects(Timer, { format: "count" }),
      resources,
    };
    writeFileSync(`${file}.next`, JSON.stringify({ count: ++count, figures }));
    renameSync(`${file}.next`, file);
  });
});
