import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";
import { FakeClock } from "#runtime/fake-clock";
import { runWaitReady, waitReady } from "./wait-ready.ts";

async function probeServer(statuses: number[]) {
  const paths: string[] = [];
  const server = createServer((request, response) => {
    paths.push(request.url ?? "");
    response.writeHead(statuses.shift() ?? 200).end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const stop = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { paths, port, url: new URL(`http://127.0.0.1:${port}/readyz`), [Symbol.asyncDispose]: stop };
}

test("wait-ready: it asks again until the proxy is ready, and never ends with success before", async () => {
  await using server = await probeServer([503, 503, 503, 200]);
  const clock = new FakeClock();
  let ready = false;
  const waiting = waitReady(server.url, clock, new AbortController().signal).then(() => {
    ready = true;
  });
  for (let round = 1; round <= 3; round++) {
    await clock.whenWaiting();
    assert.equal(ready, false, `round ${round}`);
    assert.equal(server.paths.length, round);
    await clock.advance(200);
  }
  await waiting;
  assert.deepEqual(server.paths, ["/readyz", "/readyz", "/readyz", "/readyz"]);
});

test("wait-ready: a proxy that does not listen yet is waited for, until the signal aborts", async () => {
  const { url } = await probeServer([]).then(async (server) => {
    await server[Symbol.asyncDispose]();
    return server;
  });
  const clock = new FakeClock();
  const stop = new AbortController();
  const waiting = waitReady(url, clock, stop.signal);
  await clock.whenWaiting();
  stop.abort(new Error("pod ends"));
  await assert.rejects(waiting, /pod ends/);
});

test("wait-ready: the command takes the address from its flag and ends with 0", async () => {
  await using server = await probeServer([200]);
  assert.equal(await runWaitReady([`--url=${server.url.href}`], {}), 0);
  await assert.rejects(runWaitReady(["--adress=x"], {}), { code: "INVALID_FLAG" });
});
