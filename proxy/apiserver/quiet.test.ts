import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "#runtime/clock";
import { createLog } from "#runtime/log";
import { Harness, requestOf } from "./raw-harness.ts";

test("D34: passed, filtered and refused requests are counted and write no log line", async () => {
  const lines: string[] = [];
  const write = (line: string) => void lines.push(line);
  const log = createLog({ level: "info", format: "json", part: "proxy", clock: systemClock, write });
  await using harness = await Harness.start({ log });
  const client = await harness.dial();
  client.send(requestOf("GET /version"));
  const upstream = await harness.upstream.accept();
  const answer = async (): Promise<void> => {
    await upstream.takeHead();
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    await client.take("ok");
  };
  await answer();
  for (let round = 0; round < 20; round++) {
    for (const path of ["/api/v1/nodes", "/api/v1/configmaps"]) {
      client.send(requestOf(`GET ${path}`));
      await answer();
    }
    client.send(requestOf("GET /api", "Connection: upgrade", "Upgrade: h2c"));
    await client.take("UPGRADE_NOT_SUPPORTED");
  }
  assert.equal(harness.counters.requests.list.filtered, 20);
  assert.equal(harness.counters.refusals.get("UPGRADE_NOT_SUPPORTED"), 20);
  assert.deepEqual(lines, []);
});
