import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "#runtime/fake-clock";
import type { FloorAnswer } from "./floor-scope.ts";
import { Harness, requestOf } from "./raw-harness.ts";

/** Requests that wait for a floor, and what their clients send meanwhile. */

const list = "/api/v1/configmaps";
const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/** A floor that is read when the test says so. */
function heldFloor() {
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<FloorAnswer>();
  const readFloor = (): Promise<FloorAnswer> => {
    asked.resolve();
    return answer.promise;
  };
  const release = () => answer.resolve({ kind: "known", resourceVersion: "100" });
  return { asked: asked.promise, readFloor, release };
}

/** Lets bytes that are on their way over loopback arrive. */
async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

for (const [framing, header, body] of [
  ["Content-Length", "Content-Length: 4", "body"],
  ["chunks", "Transfer-Encoding: chunked", "4\r\nbody\r\n0\r\n\r\n"],
] as const) {
  test(`waiting: the body (${framing}) of a request that waited goes up behind its head, and the next request is served`, async () => {
    const floor = heldFloor();
    await using harness = await Harness.start({ readFloor: floor.readFloor });
    const client = await harness.dial();
    client.send(requestOf(`GET ${list}`, header) + body + requestOf("GET /api"));
    await floor.asked;
    await turns(50);
    floor.release();
    const upstream = await harness.upstream.accept();
    await upstream.takeHead();
    assert.equal(await upstream.takeBytes(body.length), body);
    upstream.send(ok);
    await client.take("ok");
    assert.match(await upstream.takeHead(), /^GET \/api HTTP/);
    upstream.send(ok);
    await client.take("ok");
  });
}

test("waiting: a body beyond what is kept goes on flowing when the wait is over", async () => {
  const floor = heldFloor();
  await using harness = await Harness.start({ readFloor: floor.readFloor });
  const client = await harness.dial();
  const size = 4 * 1024 * 1024;
  client.send(requestOf(`GET ${list}`, `Content-Length: ${size}`));
  client.send(Buffer.alloc(size, "x"));
  await floor.asked;
  await turns(200);
  floor.release();
  const upstream = await harness.upstream.accept();
  await upstream.takeHead();
  await upstream.until(() => upstream.receivedBytes >= size, "the whole body");
});

test("waiting: what can't be understood behind a request whose wait ended by time ends this connection alone", async () => {
  const clock = new FakeClock();
  const floor = heldFloor();
  await using harness = await Harness.start({ clock, readFloor: floor.readFloor });
  const client = await harness.dial();
  client.send(`${requestOf(`GET ${list}`)}no head at all\r\n\r\n`);
  await floor.asked;
  await turns(50);
  await clock.advance(5_000);
  assert.match(await client.takeHead(), /^HTTP\/1\.1 429 /);
  await client.take("FLOOR_UNKNOWN");
  await client.take("\nHTTP/1.1 400 ");
  await client.ended();
});
