import assert from "node:assert/strict";
import { test } from "node:test";
import { ErrorCode, FrameType, Setting } from "../../http2/constants.ts";
import {
  rstStreamFrame,
  settingsAckFrame,
  settingsFrame,
  windowUpdateFrame,
} from "../../http2/frame-writer.ts";
import { eventually } from "../../transport/raw-peers.ts";
import {
  dataFrame,
  type FramePeer,
  frameOf,
  headersFrame,
  RawFrames,
  requestFrame,
  settled,
  WindowWatch,
} from "./raw-frames.ts";

/** Flow control, of streams and of the whole connection, where the proxy adds content of its own. */

const malformed: Readonly<Record<string, string>> = { ":path": "//api" };
const ok = { ":status": "200" };

/** Asks for something that is refused, and reads the answer. @returns octets of its content */
async function refused(client: FramePeer, streamId: number, fields = malformed): Promise<number> {
  client.send(requestFrame(streamId, fields));
  await client.next(FrameType.HEADERS, streamId);
  return (await client.next(FrameType.DATA, streamId)).payload.length;
}

test("http2 window: one frame as large as the API server's window comes through, though the proxy used some of the client's", async () => {
  await using mesh = await RawFrames.start();
  const { client, upstream } = await mesh.connect({ clientSettings: [[Setting.MAX_FRAME_SIZE, 1 << 20]] });
  const window = new WindowWatch(client);
  client.send(requestFrame(1));
  await upstream.next(FrameType.HEADERS, 1);
  const own = await refused(client, 3);
  upstream.send(headersFrame(1, ok), dataFrame(1, "x".repeat(65_535), true));
  // The client takes what it has room for, and gives nothing back before its window is used up.
  await eventually(() => window.left === 0, "all that the client has room for");
  assert.equal(client.contentOf(1).length, 65_535 - own);
  window.give(40_000);
  await eventually(() => client.contentOf(1).length === 65_535, "the rest");
  assert.equal(client.log.at(-1)?.endsWith(" end"), true);
  assert.equal(window.isOverrun, false);
  // What the proxy used up is kept back from the API server.
  assert.equal((await upstream.next(FrameType.WINDOW_UPDATE)).payload.readUInt32BE(0), 40_000 - own);
});

test("http2 window: content that waits for room holds nothing up but content", async () => {
  await using mesh = await RawFrames.start();
  const { client, upstream } = await mesh.connect();
  const window = new WindowWatch(client);
  client.send(requestFrame(1), requestFrame(3));
  await upstream.next(FrameType.HEADERS, 3);
  const own = await refused(client, 5);
  upstream.send(headersFrame(1, ok), headersFrame(3, ok));
  for (let left = 65_535; left > 0; left -= 16_384) {
    upstream.send(dataFrame(1, "x".repeat(Math.min(left, 16_384)), left <= 16_384));
  }
  await eventually(() => window.left === 0, "all that the client has room for");
  await settled(client, upstream);
  await settled(upstream, client);
  client.send(requestFrame(7, { ":method": "POST" }, false), requestFrame(9));
  // Its numbers are two behind those of the client, which spent one on what was refused.
  await upstream.next(FrameType.HEADERS, 7);
  upstream.send(windowUpdateFrame(5, 10), headersFrame(7, { ":status": "204" }, true));
  await client.next(FrameType.WINDOW_UPDATE, 7);
  assert.equal((await client.next(FrameType.HEADERS, 9)).fields?.[":status"], "204");
  window.give(own);
  await eventually(() => client.contentOf(1).length === 65_535, "the rest");
  assert.equal(window.isOverrun, false);
});

test("http2 window: trailers and resets stay behind content that waits for room", async () => {
  await using mesh = await RawFrames.start();
  const { client, upstream } = await mesh.connect({ clientSettings: [[Setting.MAX_FRAME_SIZE, 1 << 20]] });
  const window = new WindowWatch(client);
  client.send(requestFrame(1), requestFrame(3));
  await upstream.next(FrameType.HEADERS, 3);
  await refused(client, 5);
  upstream.send(
    headersFrame(1, ok),
    headersFrame(3, ok),
    dataFrame(1, "x".repeat(65_000)),
    dataFrame(3, "y".repeat(535)),
    headersFrame(1, { "x-trailer": "1" }, true),
    rstStreamFrame(3, ErrorCode.INTERNAL_ERROR),
  );
  await eventually(() => window.left === 0, "all that the client has room for");
  window.give(1_000);
  await client.next(FrameType.RST_STREAM, 3);
  const [trailers] = client.seen.filter(({ fields }) => fields?.["x-trailer"] === "1");
  assert.ok(trailers !== undefined);
  assert.equal(client.contentOf(1).length, 65_000);
  assert.equal(client.contentOf(3).length, 535);
  assert.ok(
    client.seen.indexOf(trailers) >
      client.seen.findLastIndex(({ streamId, type }) => streamId === 1 && type === FrameType.DATA),
  );
});

test("http2 window: content that waits for room is forgotten with its stream, and what is behind it goes on", async () => {
  await using mesh = await RawFrames.start();
  const { client, upstream } = await mesh.connect();
  const window = new WindowWatch(client);
  client.send(requestFrame(1), requestFrame(3));
  await upstream.next(FrameType.HEADERS, 3);
  await refused(client, 5);
  upstream.send(headersFrame(1, ok), headersFrame(3, ok));
  for (let left = 65_535; left > 0; left -= 16_384)
    upstream.send(dataFrame(1, "x".repeat(Math.min(left, 16_384))));
  await eventually(() => window.left === 0, "all that the client has room for");
  client.send(rstStreamFrame(1, ErrorCode.CANCEL));
  await upstream.next(FrameType.RST_STREAM, 1);
  const held = 65_535 - client.contentOf(1).length;
  assert.equal((await upstream.next(FrameType.WINDOW_UPDATE)).payload.readUInt32BE(0), held);
  window.give(65_535);
  assert.equal((await upstream.next(FrameType.WINDOW_UPDATE)).payload.readUInt32BE(0), 65_535 - held);
  assert.equal(client.contentOf(1).length + held, 65_535);
});

test("http2 window: an answer of our own that waits for room does not wait for one that is wanted no more", async () => {
  await using mesh = await RawFrames.start();
  const { client, upstream } = await mesh.connect();
  const window = new WindowWatch(client);
  const longer = { connection: "close" };
  const short = await refused(client, 1, malformed);
  assert.ok((await refused(client, 3, longer)) > short);
  client.send(requestFrame(5));
  await upstream.next(FrameType.HEADERS, 1);
  upstream.send(headersFrame(1, ok));
  for (let left = window.left - short; left > 0; left -= 16_384) {
    upstream.send(dataFrame(1, "x".repeat(Math.min(left, 16_384))));
  }
  await eventually(() => window.left === short, "most of the window");
  client.send(requestFrame(7, longer), requestFrame(9, malformed));
  await client.next(FrameType.HEADERS, 9);
  client.send(rstStreamFrame(7, ErrorCode.CANCEL));
  await client.next(FrameType.DATA, 9);
  assert.equal(client.contentOf(7), "");
  client.send(requestFrame(11, { ...malformed, ":method": "HEAD" }));
  await client.next(FrameType.HEADERS, 11);
  assert.equal(window.left, 0);
});

test("http2 window: room that a client gives while its request waits reaches the API server with the request", async () => {
  const floor = Promise.withResolvers<void>();
  await using mesh = await RawFrames.start({
    readFloor: async () => {
      await floor.promise;
      return { kind: "known", resourceVersion: "100" };
    },
  });
  const { client, upstream } = await mesh.connect({ clientSettings: [[Setting.INITIAL_WINDOW_SIZE, 0]] });
  client.send(
    requestFrame(1, { ":path": "/api/v1/configmaps" }),
    windowUpdateFrame(1, 500),
    windowUpdateFrame(1, 7),
  );
  await settled(client, upstream);
  floor.resolve();
  await upstream.next(FrameType.HEADERS, 1);
  assert.equal((await upstream.next(FrameType.WINDOW_UPDATE, 1)).payload.readUInt32BE(0), 507);
});

test("http2 window: an answer of our own without room for its content says nothing of its length", async () => {
  await using mesh = await RawFrames.start();
  const { client } = await mesh.connect({ clientSettings: [[Setting.INITIAL_WINDOW_SIZE, 10]] });
  client.send(requestFrame(1, malformed));
  const head = await client.next(FrameType.HEADERS, 1);
  assert.equal(head.fields?.[":status"], "400");
  assert.equal(head.fields?.["content-length"], undefined);
  assert.equal(client.log.at(-1), "HEADERS 1 400 end");
});

test("http2 window: a lower initial window counts at once for what the proxy adds, a higher one when it is acknowledged", async () => {
  await using mesh = await RawFrames.start();
  const { client, upstream } = await mesh.connect({ clientSettings: [[Setting.INITIAL_WINDOW_SIZE, 10]] });
  client.send(settingsFrame([[Setting.INITIAL_WINDOW_SIZE, 65_535]]), requestFrame(1, malformed));
  assert.equal((await client.next(FrameType.HEADERS, 1)).flags & 1, 1);
  upstream.send(settingsAckFrame());
  await client.next(FrameType.SETTINGS);
  await refused(client, 3);
  client.send(settingsFrame([[Setting.INITIAL_WINDOW_SIZE, 10]]), requestFrame(5, malformed));
  assert.equal((await client.next(FrameType.HEADERS, 5)).flags & 1, 1);
});

test("http2 window: content for a refused stream gives its window back, each octet once, padding too", async () => {
  await using mesh = await RawFrames.start();
  const { client, upstream } = await mesh.connect();
  client.send(requestFrame(1, { ...malformed, ":method": "POST" }, false));
  await client.next(FrameType.RST_STREAM, 1);
  client.send(
    dataFrame(1, "x".repeat(100)),
    dataFrame(1, ""),
    frameOf(FrameType.DATA, 8 | 1, 1, Buffer.from([3, 1, 2, 0, 0, 0])),
  );
  client.send(
    windowUpdateFrame(1, 9),
    rstStreamFrame(1, ErrorCode.CANCEL),
    headersFrame(1, { "x-trailer": "1" }, true),
  );
  await settled(client, upstream);
  assert.deepEqual(
    client.log.filter((line) => line.startsWith("WINDOW_UPDATE")),
    ["WINDOW_UPDATE 0 +100", "WINDOW_UPDATE 0 +6"],
  );
  assert.deepEqual(
    upstream.seen.filter(({ streamId }) => streamId !== 0),
    [],
  );
});
