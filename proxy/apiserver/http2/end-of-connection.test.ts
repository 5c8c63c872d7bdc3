import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "#runtime/fake-clock";
import { silentLog } from "#runtime/log";
import { ErrorCode, FrameType, preface } from "../../http2/constants.ts";
import { goAwayFrame, rstStreamFrame, settingsFrame } from "../../http2/frame-writer.ts";
import { eventually } from "../../transport/raw-peers.ts";
import { dataFrame, headersFrame, RawFrames, requestFrame, settled } from "./raw-frames.ts";

/** GOAWAY of either side, and what becomes of streams when a side goes. */

const ok = { ":status": "200" };
const list = { ":path": "/api/v1/configmaps" };
const pending = () => new Promise<never>(() => undefined);

test("http2 end: an API server that goes away soon is heard of at once, and serves on", async () => {
  await using mesh = await RawFrames.start();
  const { client, upstream } = await mesh.connect();
  upstream.send(goAwayFrame(2 ** 31 - 1, ErrorCode.NO_ERROR, "soon"));
  const goAway = await client.next(FrameType.GOAWAY);
  assert.equal(goAway.payload.readUInt32BE(0), 2 ** 31 - 1);
  assert.equal(goAway.payload.toString("latin1", 8), "soon");
  client.send(requestFrame(1));
  await upstream.next(FrameType.HEADERS, 1);
  upstream.send(headersFrame(1, ok, true));
  await client.next(FrameType.HEADERS, 1);
});

test("http2 end: what an API server that goes away does not look at is given back, and the last number never rises", async () => {
  await using mesh = await RawFrames.start({ readFloor: pending });
  const { client, upstream } = await mesh.connect();
  // Waits for its floor, and so has no number of the API server's.
  client.send(requestFrame(1, list), requestFrame(3), requestFrame(5, { ":method": "POST" }, false));
  await upstream.next(FrameType.HEADERS, 3);
  upstream.send(goAwayFrame(1, ErrorCode.NO_ERROR));
  assert.equal((await client.next(FrameType.GOAWAY)).payload.readUInt32BE(0), 5);
  for (const streamId of [1, 5]) {
    assert.equal(
      (await client.next(FrameType.RST_STREAM, streamId)).payload.readUInt32BE(0),
      ErrorCode.REFUSED_STREAM,
    );
  }
  client.send(requestFrame(7), dataFrame(5, "xy"), rstStreamFrame(5, ErrorCode.CANCEL), dataFrame(7, "z"));
  await settled(client, upstream);
  assert.deepEqual(
    upstream.log.filter((line) => line.startsWith("HEADERS")),
    ["HEADERS 1 /version end", "HEADERS 3 /version"],
  );
  upstream.send(goAwayFrame(1, ErrorCode.NO_ERROR));
  assert.equal((await client.next(FrameType.GOAWAY)).payload.readUInt32BE(0), 5);
  upstream.send(headersFrame(1, ok), dataFrame(1, "done", true));
  await client.next(FrameType.DATA, 3);
  upstream.peer.socket.end();
  assert.equal((await client.next(FrameType.GOAWAY)).payload.readUInt32BE(0), 5);
  await client.peer.ended();
});

test("http2 end: a client that goes away is heard of, and gets what it asked for", async () => {
  await using mesh = await RawFrames.start();
  const { client, upstream } = await mesh.connect();
  client.send(requestFrame(1), goAwayFrame(0, ErrorCode.NO_ERROR, "bye"));
  assert.equal((await upstream.next(FrameType.GOAWAY)).payload.toString("latin1", 8), "bye");
  upstream.send(headersFrame(1, ok), dataFrame(1, "done", true));
  await client.next(FrameType.DATA, 1);
  client.peer.socket.end();
  await upstream.peer.ended();
  await eventually(() => mesh.inner.counters.connectionsOpen === 0, "the end of the connection");
});

test("http2 end: a client that half-closes with requests open is gone, as for the API server", async () => {
  await using mesh = await RawFrames.start();
  const { client, upstream } = await mesh.connect();
  client.send(requestFrame(1));
  await upstream.next(FrameType.HEADERS, 1);
  client.peer.socket.end();
  await upstream.peer.ended();
});

test("http2 end: an API server that ends without open streams ends the connection cleanly", async () => {
  await using mesh = await RawFrames.start();
  const { client, upstream } = await mesh.connect();
  upstream.peer.socket.end();
  await client.next(FrameType.GOAWAY);
  await client.peer.ended();
  assert.equal(client.peer.hasEnded, true);
});

test("http2 end: an API server that ends with streams open cuts the connection behind what came", async () => {
  await using mesh = await RawFrames.start();
  const { client, upstream } = await mesh.connect();
  client.send(requestFrame(1));
  await upstream.next(FrameType.HEADERS, 1);
  upstream.send(headersFrame(1, ok), dataFrame(1, "half"));
  upstream.peer.socket.end();
  await client.peer.ended();
  assert.equal(client.contentOf(1), "half");
  assert.deepEqual(
    client.log.filter((line) => line.endsWith(" end") && !line.startsWith("SETTINGS")),
    [],
  );
});

test("http2 end: content that waited for room arrives though the API server ended meanwhile", async () => {
  await using mesh = await RawFrames.start();
  const { client, upstream } = await mesh.connect();
  client.send(requestFrame(1, { ":path": "//api" }), requestFrame(3));
  await upstream.next(FrameType.HEADERS, 1);
  upstream.send(headersFrame(1, ok));
  for (let left = 65_535; left > 0; left -= 16_384) {
    upstream.send(dataFrame(1, "x".repeat(Math.min(left, 16_384)), left <= 16_384));
  }
  upstream.peer.socket.end();
  await eventually(
    () => client.contentOf(3).length + client.contentOf(1).length === 65_535,
    "the window used up",
  );
  client.send(Buffer.from("0000040800000000000000ffff", "hex"));
  await client.next(FrameType.GOAWAY);
  assert.equal(client.contentOf(3).length, 65_535);
  await client.peer.ended();
});

test("http2 end: without an API server a thousand waiting requests are answered within the client's window", async () => {
  await using mesh = await RawFrames.start();
  await mesh.server[Symbol.asyncDispose]();
  const client = await mesh.dial();
  const requests = Array.from({ length: 500 }, (_, index) => requestFrame(2 * index + 1));
  client.send(preface, settingsFrame([]), ...requests);
  await client.next(FrameType.GOAWAY);
  await client.peer.ended();
  const heads = client.seen.filter(({ type }) => type === FrameType.HEADERS);
  assert.equal(heads.length, 500);
  let octets = 0;
  for (const { fields, flags, streamId } of heads) {
    assert.equal(fields?.[":status"], "503");
    const { length } = client.contentOf(streamId);
    octets += length;
    // A length is named only where as much follows.
    assert.equal(Number(fields["content-length"] ?? 0), length);
    if (length === 0) assert.equal(flags & 1, 1);
  }
  assert.ok(octets > 60_000 && octets <= 65_535, String(octets));
  assert.equal(mesh.inner.counters.refusals.get("UPSTREAM_UNREACHABLE"), 500);
});

test("http2 end: a connection that we end while the API server is being dialled counts as no failure of it", async () => {
  const warnings: string[] = [];
  await using mesh = await RawFrames.start({
    log: { ...silentLog, warn: (text) => void warnings.push(text) },
  });
  const client = await mesh.dial();
  client.send(preface, Buffer.from("nonsense and more of it"));
  const goAway = await client.next(FrameType.GOAWAY);
  assert.notEqual(goAway.payload.readUInt32BE(4), ErrorCode.NO_ERROR);
  await client.peer.ended();
  client.peer.socket.end();
  await client.peer.closed();
  assert.equal(mesh.inner.counters.refusals.get("MALFORMED_REQUEST"), 1);
  assert.deepEqual(warnings, ["connection ended because of bytes that can't be understood"]);
});

test("http2 end: a drain closes what is idle, finishes what runs, ends watches, and leaves no timer", async () => {
  const clock = new FakeClock();
  await using mesh = await RawFrames.start({ clock });
  const idle = await mesh.connect();
  const busy = await mesh.connect();
  busy.client.send(requestFrame(1), requestFrame(3, { ":path": "/api/v1/nodes?watch=1" }));
  await busy.upstream.next(FrameType.HEADERS, 3);
  busy.upstream.send(headersFrame(3, { ...ok, "content-type": "application/json" }), dataFrame(3, "{}\n"));
  await busy.client.next(FrameType.DATA, 3);
  const drained = mesh.inner.proxy.drain(new AbortController().signal);
  await idle.client.next(FrameType.GOAWAY);
  await idle.client.peer.ended();
  idle.client.peer.socket.end();
  busy.client.send(requestFrame(5, { ":path": "/api/v1/nodes?watch=1" }));
  assert.equal((await busy.client.next(FrameType.HEADERS, 5)).fields?.[":status"], "429");
  busy.upstream.send(headersFrame(1, ok, true));
  await busy.client.next(FrameType.HEADERS, 1);
  await eventually(() => clock.nextDueInMs === 1_000, "a timer for the watch");
  await clock.advance(1_000);
  const goAway = await busy.client.next(FrameType.GOAWAY);
  assert.equal(goAway.payload.readUInt32BE(0), 5);
  assert.equal(busy.client.log.at(-2), "DATA 3 0 end");
  await busy.client.peer.ended();
  busy.client.peer.socket.end();
  await drained;
  assert.equal(mesh.inner.counters.watchesEnded, 1);
  await mesh[Symbol.asyncDispose]();
  assert.equal(clock.waiting, 0);
});

test("http2 end: a drain does not wait for an answer of ours that its client wants no more", async () => {
  await using mesh = await RawFrames.start();
  const { client, upstream } = await mesh.connect();
  client.send(requestFrame(1));
  await upstream.next(FrameType.HEADERS, 1);
  upstream.send(headersFrame(1, ok));
  for (let left = 65_535; left > 0; left -= 16_384) {
    upstream.send(dataFrame(1, "x".repeat(Math.min(left, 16_384)), left <= 16_384));
  }
  await eventually(() => client.contentOf(1).length === 65_535, "the window used up");
  client.send(requestFrame(3, { ":path": "//api" }));
  await client.next(FrameType.HEADERS, 3);
  const drained = mesh.inner.proxy.drain(new AbortController().signal);
  client.send(rstStreamFrame(3, ErrorCode.CANCEL));
  await client.next(FrameType.GOAWAY);
  client.peer.socket.end();
  await drained;
});

test("http2 end: a drained connection ends behind the frame that is half through, so that its last word is heard", async () => {
  await using mesh = await RawFrames.start();
  const { client, upstream } = await mesh.connect();
  client.send(requestFrame(1));
  await upstream.next(FrameType.HEADERS, 1);
  const frame = dataFrame(1, "0123456789");
  upstream.send(headersFrame(1, ok), frame.subarray(0, 12));
  await client.peer.until(() => client.peer.received.endsWith("012"), "half a frame");
  const drained = mesh.inner.proxy.drain(new AbortController().signal);
  client.send(rstStreamFrame(1, ErrorCode.CANCEL));
  await upstream.next(FrameType.RST_STREAM, 1);
  upstream.send(frame.subarray(12));
  await client.next(FrameType.GOAWAY);
  client.peer.socket.end();
  await drained;
});
