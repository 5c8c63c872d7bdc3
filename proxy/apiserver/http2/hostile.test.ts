import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "#runtime/fake-clock";
import { ErrorCode, Flag, FrameType, preface } from "../../http2/constants.ts";
import { rstStreamFrame, settingsFrame, windowUpdateFrame } from "../../http2/frame-writer.ts";
import { eventually } from "../../transport/raw-peers.ts";
import {
  blockOf,
  dataFrame,
  type FramePeer,
  frameOf,
  headersFrame,
  RawFrames,
  requestFrame,
  settled,
} from "./raw-frames.ts";

/** Clients that do what they must not, or do too much of what they may. */

const ok = { ":status": "200" };
const settings = settingsFrame([]);

/** What ends the connection, and the code that it is told. */
const fatal: readonly (readonly [name: string, code: number, ...frames: Buffer[]])[] = [
  [
    "a wrong preface",
    ErrorCode.PROTOCOL_ERROR,
    Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nx".replace("SM", "XX")),
  ],
  ["an HTTP/1.1 request", ErrorCode.PROTOCOL_ERROR, Buffer.from("GET / HTTP/1.1\r\n\r\n")],
  ["a first frame that is not SETTINGS", ErrorCode.PROTOCOL_ERROR, preface, requestFrame(1)],
  [
    "a first frame that only acknowledges",
    ErrorCode.PROTOCOL_ERROR,
    preface,
    frameOf(FrameType.SETTINGS, Flag.ACK, 0),
  ],
  ["an even stream", ErrorCode.PROTOCOL_ERROR, preface, settings, requestFrame(2)],
  [
    "a request on a lower stream",
    ErrorCode.PROTOCOL_ERROR,
    preface,
    settings,
    requestFrame(5),
    requestFrame(3),
  ],
  [
    "a request on an ended stream",
    ErrorCode.PROTOCOL_ERROR,
    preface,
    settings,
    requestFrame(1, { ":path": "//api" }),
    requestFrame(1),
  ],
  ["DATA on an idle stream", ErrorCode.PROTOCOL_ERROR, preface, settings, dataFrame(1, "x")],
  ["RST_STREAM on an idle stream", ErrorCode.PROTOCOL_ERROR, preface, settings, rstStreamFrame(1, 8)],
  ["WINDOW_UPDATE on an idle stream", ErrorCode.PROTOCOL_ERROR, preface, settings, windowUpdateFrame(1, 8)],
  ["WINDOW_UPDATE by nothing", ErrorCode.PROTOCOL_ERROR, preface, settings, windowUpdateFrame(0, 0)],
  [
    "PUSH_PROMISE",
    ErrorCode.PROTOCOL_ERROR,
    preface,
    settings,
    frameOf(FrameType.PUSH_PROMISE, Flag.END_HEADERS, 1, "\0\0\0\x02"),
  ],
  [
    "CONTINUATION without HEADERS",
    ErrorCode.PROTOCOL_ERROR,
    preface,
    settings,
    frameOf(FrameType.CONTINUATION, 4, 1),
  ],
  [
    "a header block with something in between",
    ErrorCode.PROTOCOL_ERROR,
    preface,
    settings,
    frameOf(FrameType.HEADERS, 0, 1),
    frameOf(FrameType.PING, 0, 0, "12345678"),
  ],
  [
    "CONTINUATION without end",
    ErrorCode.ENHANCE_YOUR_CALM,
    preface,
    settings,
    frameOf(FrameType.HEADERS, 1, 1),
    ...Array.from({ length: 200 }, () => frameOf(FrameType.CONTINUATION, 0, 1)),
  ],
  [
    "a header block that can't be decoded",
    ErrorCode.COMPRESSION_ERROR,
    preface,
    settings,
    frameOf(FrameType.HEADERS, 5, 1, "\xff\xff\xff"),
  ],
  [
    "padding longer than its frame",
    ErrorCode.PROTOCOL_ERROR,
    preface,
    settings,
    frameOf(FrameType.HEADERS, 5 | Flag.PADDED, 1, "\x09x"),
  ],
  ["SETTINGS out of range", ErrorCode.FLOW_CONTROL_ERROR, preface, settings, settingsFrame([[4, 2 ** 31]])],
];

for (const [name, code, ...frames] of fatal) {
  test(`http2 hostile: ${name} ends the connection, and the client is told why`, async () => {
    await using mesh = await RawFrames.start();
    const client = await mesh.dial();
    client.send(...frames);
    const goAway = await client.next(FrameType.GOAWAY);
    assert.equal(goAway.payload.readUInt32BE(4), code);
    assert.equal(client.seen[0]?.type, FrameType.SETTINGS);
    await client.peer.ended();
    client.peer.socket.end();
    await eventually(() => mesh.inner.counters.connectionsOpen === 0, "the end of the connection");
  });
}

/** What is refused on its stream alone. */
const refusals: readonly (readonly [name: string, status: string, frame: (streamId: number) => Buffer])[] = [
  ["CONNECT", "400", (id) => headersFrame(id, { ":method": "CONNECT", ":authority": "api:1" }, true)],
  ["extended CONNECT", "400", (id) => requestFrame(id, { ":method": "CONNECT", ":protocol": "websocket" })],
  [
    "a request without :path",
    "400",
    (id) => headersFrame(id, { ":method": "GET", ":scheme": "https", ":authority": "a" }, true),
  ],
  ["a field of HTTP/1.1", "400", (id) => requestFrame(id, { "transfer-encoding": "chunked" })],
  [
    "a pseudo field behind others",
    "400",
    (id) => headersFrame(id, { ":method": "GET", a: "b", ":path": "/" }, true),
  ],
  ["a header list over 1 MiB", "431", (id) => bomb(id)],
];

/** 300 times the same entry of the dynamic table, each of 4,000 octets. */
function bomb(streamId: number): Buffer {
  const value = Buffer.alloc(3_900, "v");
  const entry = Buffer.concat([Buffer.of(0x40, 1, 0x61, 0x7f, ...varint(3_900 - 127)), value]);
  const block = Buffer.concat([entry, Buffer.alloc(300, 0x80 | 62)]);
  return frameOf(FrameType.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, streamId, block);
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [0x80 | (value & 0x7f), ...varint(value >> 7)];
}

for (const [name, status, frame] of refusals) {
  test(`http2 hostile: ${name} is refused, and the connection goes on`, async () => {
    await using mesh = await RawFrames.start();
    const { client, upstream } = await mesh.connect();
    client.send(frame(1));
    assert.equal((await client.next(FrameType.HEADERS, 1)).fields?.[":status"], status);
    client.send(requestFrame(3));
    await upstream.next(FrameType.HEADERS, 1);
    upstream.send(headersFrame(1, ok, true));
    await client.next(FrameType.HEADERS, 3);
    assert.equal(upstream.seen.filter(({ type }) => type === FrameType.HEADERS).length, 1);
  });
}

test("http2 hostile: trailers that are none reset their stream on both sides; right ones pass", async () => {
  await using mesh = await RawFrames.start();
  const { client, upstream } = await mesh.connect();
  const wrong: readonly (readonly [Record<string, string>, boolean])[] = [
    [{ "x-a": "1" }, false],
    [{ ":path": "/" }, true],
    [{ connection: "close" }, true],
  ];
  let streamId = -1;
  for (const [fields, endStream] of wrong) {
    streamId += 2;
    client.send(
      requestFrame(streamId, { ":method": "POST" }, false),
      dataFrame(streamId, "b"),
      headersFrame(streamId, fields, endStream),
    );
    await upstream.next(FrameType.RST_STREAM, streamId);
    await client.next(FrameType.RST_STREAM, streamId);
    assert.equal(
      upstream.seen.filter((frame) => frame.streamId === streamId && frame.type === FrameType.HEADERS).length,
      1,
    );
  }
  streamId += 2;
  client.send(
    requestFrame(streamId, { ":method": "POST" }, false),
    headersFrame(streamId, { "x-sum": "1" }, true),
  );
  await upstream.next(FrameType.HEADERS, streamId);
  const trailers = await upstream.next(FrameType.HEADERS, streamId);
  assert.equal(trailers.fields?.["x-sum"], "1");
  assert.equal(trailers.flags & Flag.END_STREAM, Flag.END_STREAM);
  // The stream is half-closed now: nothing more of it goes up.
  client.send(headersFrame(streamId, { "x-sum": "2" }, true), dataFrame(streamId, "late"));
  await settled(client, upstream);
  assert.equal(upstream.seen.at(-2)?.fields?.["x-sum"], "1");
  assert.equal(client.log.filter((line) => line === "WINDOW_UPDATE 0 +4").length, 1);
});

test("http2 hostile: padding, priority and unknown frames are taken; the API server gets a plain request", async () => {
  await using mesh = await RawFrames.start();
  const { client, upstream } = await mesh.connect();
  const block = blockOf({ ":method": "GET", ":scheme": "https", ":path": "/version", ":authority": "api" });
  const padded = Buffer.concat([Buffer.of(4, 0, 0, 0, 0, 16), block.subarray(0, 3)]);
  client.send(
    frameOf(0x42, 0xff, 1, "unknown"),
    frameOf(FrameType.PRIORITY, 0, 7, "\0\0\0\0\x01"),
    frameOf(
      FrameType.HEADERS,
      Flag.PADDED | Flag.PRIORITY | Flag.END_STREAM,
      1,
      Buffer.concat([padded, Buffer.alloc(4)]),
    ),
    frameOf(FrameType.CONTINUATION, 0, 1, block.subarray(3, 9)),
    frameOf(FrameType.CONTINUATION, Flag.END_HEADERS, 1, block.subarray(9)),
  );
  await upstream.next(FrameType.HEADERS, 1);
  assert.deepEqual(upstream.log.slice(2), ["HEADERS 1 /version end"]);
});

/** Sends until the connection is cut, which has to be long before all is sent; returns the octets sent. */
async function sentUntilCut(
  mesh: RawFrames,
  client: FramePeer,
  next: (n: number) => Buffer,
): Promise<number> {
  client.peer.socket.pause();
  let octets = 0;
  for (let n = 0; mesh.inner.counters.connectionsOpen > 0; n++) {
    assert.ok(octets < 48 << 20, "not cut");
    const bytes = next(n);
    octets += bytes.length;
    client.send(bytes);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return octets;
}

test("http2 hostile: a client that asks and never reads is cut", async () => {
  await using mesh = await RawFrames.start();
  const { client } = await mesh.connect();
  client.send(windowUpdateFrame(0, 2 ** 30));
  await sentUntilCut(mesh, client, (n) =>
    Buffer.concat(
      Array.from({ length: 200 }, (_, index) => requestFrame(400 * n + 2 * index + 1, { ":path": "//api" })),
    ),
  );
});

test("http2 hostile: a client that sends content nobody wants, and never reads that its room is back, is cut", async () => {
  await using mesh = await RawFrames.start();
  const { client } = await mesh.connect();
  client.send(requestFrame(1, { ":path": "//api", ":method": "POST" }, false));
  await client.next(FrameType.RST_STREAM, 1);
  const piece = Buffer.concat(Array.from({ length: 5_000 }, () => dataFrame(1, "x")));
  await sentUntilCut(mesh, client, () => piece);
});

test("http2 hostile: rapid resets leave nothing behind, upstream or here", async () => {
  const clock = new FakeClock();
  await using mesh = await RawFrames.start({ clock });
  const { client, upstream } = await mesh.connect();
  const count = 3_000;
  for (let index = 0; index < count; index++) {
    const streamId = 2 * index + 1;
    const fields = index % 3 === 0 ? { ":path": "//api" } : { ":path": "/api/v1/nodes?watch=1" };
    client.send(requestFrame(streamId, fields), rstStreamFrame(streamId, ErrorCode.CANCEL));
  }
  await settled(client, upstream);
  const kinds = upstream.seen.filter(({ streamId }) => streamId !== 0).map(({ type }) => type);
  assert.equal(kinds.filter((type) => type === FrameType.HEADERS).length, 2_000);
  assert.equal(kinds.filter((type) => type === FrameType.RST_STREAM).length, 2_000);
  assert.equal(mesh.inner.proxy.requestsOnOlderView, 0);
  await mesh[Symbol.asyncDispose]();
  assert.equal(clock.waiting, 0);
});

test("http2 hostile: an API server that breaks the rules ends the connection for the client too", async () => {
  for (const frame of [
    frameOf(FrameType.PUSH_PROMISE, Flag.END_HEADERS, 1, "\0\0\0\x02"),
    headersFrame(1, { "x-no-status": "1" }),
    frameOf(FrameType.HEADERS, Flag.END_HEADERS, 1, "\xff\xff\xff"),
    frameOf(FrameType.CONTINUATION, Flag.END_HEADERS, 1),
  ]) {
    await using mesh = await RawFrames.start();
    const { client, upstream } = await mesh.connect();
    client.send(requestFrame(1));
    await upstream.next(FrameType.HEADERS, 1);
    upstream.send(frame);
    await client.peer.ended();
    assert.equal(mesh.inner.counters.refusals.get("MALFORMED_RESPONSE"), 1);
  }
});
