import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "#runtime/fake-clock";
import { eventually } from "../transport/raw-peers.ts";
import { Harness, requestOf } from "./raw-harness.ts";

const watchHead = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

test("D32: a proxy that ends cuts no request: idle connections close, requests finish, watches end cleanly and last", async () => {
  const clock = new FakeClock();
  await using harness = await Harness.start({ clock });
  const [idle, busy, watcher] = [await harness.dial(), await harness.dial(), await harness.dial()];
  busy.send(requestOf("PUT /api", "Content-Length: 2"));
  const busyUpstream = await harness.upstream.accept();
  await busyUpstream.takeHead();
  watcher.send(requestOf("GET /api/v1/nodes?watch=true"));
  const watchUpstream = await harness.upstream.accept();
  await watchUpstream.takeHead();
  watchUpstream.send(watchHead);
  await watcher.takeHead();

  let isDrained = false;
  const drained = harness.proxy.drain(new AbortController().signal).then(() => {
    isDrained = true;
  });
  await idle.ended();
  await assert.rejects(harness.dial(), /ECONNREFUSED/);
  busy.send("{}");
  await busyUpstream.take("{}");
  watchUpstream.send("3\r\n{}\n\r\n");
  await watcher.take("{}\n\r\n");
  busyUpstream.send(ok);
  await busy.take("ok");
  await busy.ended();
  assert.equal(watcher.hasEnded, false);
  for (const peer of [idle, busy]) peer.socket.end();
  // Half of the spread: `random` gives 0.5.
  await eventually(() => clock.nextDueInMs === 1_000, "a timer for the watch");
  await clock.advance(1_000);
  await watcher.ended();
  assert.equal(watcher.received, `${watchHead}3\r\n{}\n\r\n0\r\n\r\n`);
  assert.equal(isDrained, false);
  watcher.socket.end();
  await drained;
  assert.equal(harness.counters.watchesEnded, 1);
});

test("drain: what is left when the time is over is cut", async () => {
  await using harness = await Harness.start();
  const client = await harness.dial();
  client.send(requestOf("GET /api"));
  const upstream = await harness.upstream.accept();
  await upstream.takeHead();
  const stop = new AbortController();
  const drained = harness.proxy.drain(stop.signal);
  stop.abort();
  await drained;
  await client.ended();
  await upstream.ended();
  assert.equal(client.received, "");
});

test("drain: the answer to a request that was under way is the last one of its connection", async () => {
  await using harness = await Harness.start();
  const client = await harness.dial();
  client.send(requestOf("GET /one") + requestOf("GET /two"));
  const upstream = await harness.upstream.accept();
  await upstream.takeHead();
  const drained = harness.proxy.drain(new AbortController().signal);
  upstream.send(ok);
  await client.take("ok");
  await client.ended();
  client.socket.end();
  await drained;
  assert.equal(upstream.rest, "");
});
