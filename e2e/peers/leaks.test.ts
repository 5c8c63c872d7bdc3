import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { LeakRun } from "./leak-run.ts";

const connections = Number(process.env.CTRLMESH_LEAK_CONNECTIONS ?? 5_000);
/** Of compiled code and caches; a leak of 1 KiB per connection would be five times as much. */
const heapGrowthLimitBytes = 1024 * 1024;

test(`peers: ${connections} connections cut at every stage leave no socket, timer, request or heap behind`, async (t) => {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [
      "--expose-gc",
      "--disable-warning=ExperimentalWarning",
      fileURLToPath(new URL("leak-run.ts", import.meta.url)),
      String(connections),
    ],
    { maxBuffer: 1 << 20 },
  );
  const run = JSON.parse(stdout) as LeakRun;
  t.diagnostic(stdout.trim());
  const { before, after, cuts } = run;
  assert.equal(
    Object.values(cuts).reduce((total, count) => total + count, 0),
    connections,
  );
  assert.deepEqual(after.objects, { connections: 0, exchanges: 0 });
  assert.deepEqual([after.connectionsOpen, after.tunnelsOpen, after.upstreamSockets], [0, 0, 0]);
  // Three listeners and the pipe of this figure; at most the floor's next read besides.
  const { Timeout: timers = 0, ...others } = after.resources;
  assert.deepEqual(others, { PipeWrap: 1, TCPServerWrap: 3 });
  assert.ok(timers <= 1, `${timers} timers`);
  const growth = after.heapBytes - before.heapBytes;
  assert.ok(growth < heapGrowthLimitBytes, `the heap grew by ${growth} bytes`);
});
