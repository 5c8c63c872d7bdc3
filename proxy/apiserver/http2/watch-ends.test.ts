import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "#runtime/fake-clock";
import { ErrorCode, Flag, FrameType, Setting } from "../../http2/constants.ts";
import { rstStreamFrame, windowUpdateFrame } from "../../http2/frame-writer.ts";
import { eventually } from "../../transport/raw-peers.ts";
import { snapshotOf } from "../raw-harness.ts";
import {
  dataFrame,
  type FramePeer,
  frameOf,
  headersFrame,
  RawFrames,
  requestFrame,
  settled,
} from "./raw-frames.ts";

/** Where a watch is ended: between two events, between two frames, within both windows. */

const watch = { ":path": "/api/v1/configmaps?watch=1" };
const head = { ":status": "200", "content-type": "application/json" };
const never = new AbortController().signal;
const event = '{"type":"ADDED","object":{}}\n';
const expired = /\{"type":"ERROR",.*"code":410\}\}\n$/;

interface Pair {
  readonly client: FramePeer;
  readonly upstream: FramePeer;
}

/** Opens a watch on stream 1 of both sides, its head answered. */
async function open(
  { client, upstream }: Pair,
  fields: Readonly<Record<string, string>> = head,
): Promise<void> {
  client.send(requestFrame(1, watch));
  await upstream.next(FrameType.HEADERS, 1);
  upstream.send(headersFrame(1, fields));
  await client.next(FrameType.HEADERS, 1);
}

/** The watch was ended with 410, its stream on the API server's side with CANCEL. */
async function assertExpired({ client, upstream }: Pair, before: string): Promise<void> {
  await eventually(() => expired.test(client.contentOf(1)), "the last event");
  assert.equal(client.contentOf(1).startsWith(`${before}{"type":"ERROR"`), true);
  assert.equal((await upstream.next(FrameType.RST_STREAM, 1)).payload.readUInt32BE(0), ErrorCode.CANCEL);
  assert.equal(client.seen.findLast(({ streamId }) => streamId === 1)?.flags, Flag.END_STREAM);
}

test("http2 watch end: inside a frame and an event it waits for the end of both", async () => {
  await using mesh = await RawFrames.start();
  const pair = await mesh.connect();
  await open(pair);
  const [first, second] = [dataFrame(1, event.slice(0, 12)), dataFrame(1, event.slice(12))];
  pair.upstream.send(first.subarray(0, 15));
  await pair.client.peer.until(() => pair.client.peer.received.endsWith('{"type'), "half a frame");
  await mesh.inner.proxy.switchTo(snapshotOf("team=b"), never);
  pair.upstream.send(first.subarray(15), second.subarray(0, -2));
  await pair.client.peer.until(() => pair.client.peer.received.endsWith("{}"), "most of the event");
  assert.equal(
    pair.upstream.log.some((line) => line.startsWith("RST_STREAM")),
    false,
  );
  pair.upstream.send(second.subarray(-2));
  await assertExpired(pair, event);
});

test("http2 watch end: between two events, but inside a frame, it waits for a frame that ends with an event", async () => {
  await using mesh = await RawFrames.start();
  const pair = await mesh.connect();
  await open(pair);
  const [first, second] = [dataFrame(1, event + event.slice(0, 5)), dataFrame(1, event.slice(5))];
  pair.upstream.send(first.subarray(0, -5));
  await pair.client.peer.until(
    () => pair.client.peer.received.endsWith(event),
    "an event and a part of its frame",
  );
  await mesh.inner.proxy.switchTo(snapshotOf("team=b"), never);
  pair.upstream.send(first.subarray(-5));
  await settled(pair.upstream, pair.client);
  assert.equal(pair.client.contentOf(1), event + event.slice(0, 5));
  pair.upstream.send(second);
  await assertExpired(pair, event + event);
});

test("http2 watch end: while another stream's frame is half through it waits behind that frame only", async () => {
  await using mesh = await RawFrames.start();
  const pair = await mesh.connect();
  await open(pair);
  pair.upstream.send(dataFrame(1, event));
  pair.client.send(requestFrame(3));
  await pair.upstream.next(FrameType.HEADERS, 3);
  const frame = dataFrame(3, "0123456789", true);
  pair.upstream.send(headersFrame(3, { ":status": "200" }), frame.subarray(0, 14));
  await pair.client.peer.until(() => pair.client.peer.received.endsWith("01234"), "half a frame");
  await mesh.inner.proxy.switchTo(snapshotOf("team=b"), never);
  pair.upstream.send(frame.subarray(14), dataFrame(1, event));
  await assertExpired(pair, event);
  assert.equal(pair.client.contentOf(3), "0123456789");
  // What came too late was dropped, and its room given back.
  assert.equal((await pair.upstream.next(FrameType.WINDOW_UPDATE, 0)).payload.readUInt32BE(0), event.length);
});

test("http2 watch end: before the head of its answer it waits for that; a refusal of the API server stands", async () => {
  await using mesh = await RawFrames.start();
  const pair = await mesh.connect();
  pair.client.send(requestFrame(1, watch), requestFrame(3, watch));
  await pair.upstream.next(FrameType.HEADERS, 3);
  await mesh.inner.proxy.switchTo(snapshotOf("team=b"), never);
  pair.upstream.send(
    headersFrame(1, { ":status": "103" }),
    headersFrame(1, head),
    headersFrame(3, { ":status": "403" }),
    dataFrame(3, "no", true),
  );
  await assertExpired(pair, "");
  await eventually(() => pair.client.contentOf(3) === "no", "the refusal");
  assert.equal(mesh.inner.counters.watchesExpired, 1);
});

for (const [name, settings, grant] of [
  ["its stream's window", [[Setting.INITIAL_WINDOW_SIZE, 40]], windowUpdateFrame(1, 400)],
  ["the connection's window", [], windowUpdateFrame(0, 400)],
] as const) {
  test(`http2 watch end: without room in ${name} it waits for some`, async () => {
    await using mesh = await RawFrames.start();
    const pair = await mesh.connect({ clientSettings: settings });
    await open(pair);
    pair.upstream.send(dataFrame(1, event));
    if (settings.length === 0) {
      pair.client.send(requestFrame(3));
      await pair.upstream.next(FrameType.HEADERS, 3);
      pair.upstream.send(headersFrame(3, { ":status": "200" }));
      for (let left = 65_535 - event.length; left > 0; left -= 16_384) {
        pair.upstream.send(dataFrame(3, "x".repeat(Math.min(left, 16_384))));
      }
      await eventually(() => pair.client.contentOf(3).length === 65_535 - event.length, "a full window");
    }
    await pair.client.next(FrameType.DATA, 1);
    await mesh.inner.proxy.switchTo(snapshotOf("team=b"), never);
    await settled(pair.client, pair.upstream);
    assert.equal(pair.client.contentOf(1), event);
    pair.client.send(grant);
    await assertExpired(pair, event);
  });
}

for (const [name, fields, frame] of [
  ["compressed", { ...head, "content-encoding": "gzip" }, dataFrame(1, "zip")],
  [
    "padded",
    head,
    frameOf(
      FrameType.DATA,
      Flag.PADDED,
      1,
      Buffer.concat([Buffer.of(2), Buffer.from(event), Buffer.alloc(2)]),
    ),
  ],
] as const) {
  test(`http2 watch end: a ${name} watch can't be followed, and is cut`, async () => {
    await using mesh = await RawFrames.start();
    const pair = await mesh.connect();
    await open(pair, fields);
    pair.upstream.send(frame);
    await pair.client.next(FrameType.DATA, 1);
    await mesh.inner.proxy.switchTo(snapshotOf("team=b"), never);
    await pair.client.next(FrameType.RST_STREAM, 1);
    await pair.upstream.next(FrameType.RST_STREAM, 1);
    assert.equal(mesh.inner.counters.requestsDestroyed, 1);
  });
}

test("http2 watch end: a watch that comes to no end is cut after five seconds, its neighbours go on, no timer is left", async () => {
  const clock = new FakeClock();
  await using mesh = await RawFrames.start({ clock });
  const pair = await mesh.connect();
  await open(pair);
  pair.upstream.send(dataFrame(1, event.slice(0, 3)));
  await pair.client.next(FrameType.DATA, 1);
  pair.client.send(requestFrame(3));
  await pair.upstream.next(FrameType.HEADERS, 3);
  const idleTimers = clock.waiting;
  await mesh.inner.proxy.switchTo(snapshotOf("team=b"), never);
  await clock.advance(5_000);
  await pair.client.next(FrameType.RST_STREAM, 1);
  await pair.upstream.next(FrameType.RST_STREAM, 1);
  pair.upstream.send(headersFrame(3, { ":status": "200" }, true));
  await pair.client.next(FrameType.HEADERS, 3);
  assert.equal(clock.waiting, idleTimers);
  assert.equal(mesh.inner.proxy.requestsOnOlderView, 0);
});

test("http2 watch end: a client that cancels a watch which is to end leaves no timer", async () => {
  const clock = new FakeClock();
  await using mesh = await RawFrames.start({ clock });
  const pair = await mesh.connect();
  await open(pair);
  pair.upstream.send(dataFrame(1, event.slice(0, 3)));
  await pair.client.next(FrameType.DATA, 1);
  const idleTimers = clock.waiting;
  await mesh.inner.proxy.switchTo(snapshotOf("team=b"), never);
  pair.client.send(rstStreamFrame(1, ErrorCode.CANCEL));
  await pair.upstream.next(FrameType.RST_STREAM, 1);
  assert.equal(clock.waiting, idleTimers);
});

test("http2 writes: a switch that fences waits for the write on its stream to be answered, or five seconds when it is abandoned", async () => {
  const clock = new FakeClock();
  await using mesh = await RawFrames.start({ clock });
  const { client, upstream } = await mesh.connect();
  const put = { ":method": "PUT", ":path": "/api/v1/namespaces/gone/configmaps/c" };
  client.send(
    requestFrame(1, put),
    requestFrame(3, put),
    requestFrame(5, { ...put, ":path": "/api/v1/namespaces/kept/configmaps/c" }),
  );
  await upstream.next(FrameType.HEADERS, 5);
  let awaited: number | undefined;
  const switched = mesh.inner.proxy
    .switchTo(snapshotOf("team=a", { fence: { namespaces: ["gone"] } }), never)
    .then(({ writesAwaited }) => {
      awaited = writesAwaited;
    });
  upstream.send(headersFrame(1, { ":status": "200" }), dataFrame(1, "{}"));
  client.send(rstStreamFrame(3, ErrorCode.CANCEL), requestFrame(7, put));
  assert.equal((await client.next(FrameType.HEADERS, 7)).fields?.[":status"], "403");
  await clock.advance(5_000);
  assert.equal(awaited, undefined);
  upstream.send(dataFrame(1, "", true));
  await switched;
  assert.equal(awaited, 2);
});
