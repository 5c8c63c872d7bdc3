import assert from "node:assert/strict";
import { test } from "node:test";
import { dataFrame, type FramePeer, frameOf, headersFrame } from "../apiserver/http2/raw-frames.ts";
import { seededRandom } from "../apiserver/http2/seeded-random.ts";
import { defaultInitialWindowSize, Flag, FrameType, Setting } from "../http2/constants.ts";
import { settingsFrame, windowUpdateFrame } from "../http2/frame-writer.ts";
import { eventually } from "../transport/raw-peers.ts";
import { messageLimitBytes } from "./grpc-frames.ts";
import { messagesOf, ScriptedServer } from "./scripted-server.ts";

const seed = Number(process.env.FLOW_SEED ?? Math.floor(Math.random() * 2 ** 31));
const filler = (octets: number) => Buffer.alloc(octets, "0123456789abcdef-");

/** Octets of content that the server got. */
function received(server: FramePeer): number {
  return server.contentOf(1).length;
}

/** All that the client could send on what it knows is there: it has answered a PING that came behind. */
async function settle(server: FramePeer): Promise<void> {
  server.send(frameOf(FrameType.PING, 0, 0, "settled?"));
  await server.next(FrameType.PING);
}

test("control stream: content waits for both windows of the server", async () => {
  await using scripted = await ScriptedServer.start();
  const server = await scripted.answered();
  const content = filler(100_000);
  scripted.stream.send(content);
  await eventually(() => received(server) === defaultInitialWindowSize, "the first window's content");
  server.send(windowUpdateFrame(1, 10_000));
  await settle(server);
  assert.equal(received(server), defaultInitialWindowSize, "the connection's window counts");
  server.send(windowUpdateFrame(0, 4_000));
  await settle(server);
  assert.equal(received(server), defaultInitialWindowSize + 4_000);
  server.send(windowUpdateFrame(0, 100_000));
  await settle(server);
  assert.equal(received(server), defaultInitialWindowSize + 10_000, "the stream's window counts");
  server.send(windowUpdateFrame(1, 100_000));
  await settle(server);
  assert.deepEqual(Buffer.from(server.contentOf(1), "latin1"), messagesOf(content));
});

test("control stream: a smaller initial window holds for the open stream too, below zero if need be", async () => {
  await using scripted = await ScriptedServer.start();
  const server = await scripted.answered();
  scripted.stream.send(filler(40_000));
  await eventually(() => received(server) === 40_005, "the first message");
  server.send(settingsFrame([[Setting.INITIAL_WINDOW_SIZE, 1_000]]));
  await settle(server);
  scripted.stream.send(filler(5_000));
  // The window is at 1,000 - 40,005.
  server.send(windowUpdateFrame(1, 39_005));
  await settle(server);
  assert.equal(received(server), 40_005);
  server.send(windowUpdateFrame(1, 7));
  await settle(server);
  assert.equal(received(server), 40_012);
  server.send(settingsFrame([[Setting.INITIAL_WINDOW_SIZE, 10_000]]));
  await settle(server);
  assert.equal(received(server), 45_010);
});

test("control stream: frames are as long as the server takes them", async () => {
  await using scripted = await ScriptedServer.start();
  const server = await scripted.answered();
  scripted.stream.send(filler(20_000));
  await eventually(() => received(server) === 20_005, "the message");
  const lengths = () =>
    server.seen.filter(({ type }) => type === FrameType.DATA).map(({ payload }) => payload.length);
  assert.deepEqual(lengths(), [16_384, 3_621]);
  server.send(settingsFrame([[Setting.MAX_FRAME_SIZE, 30_000]]));
  await settle(server);
  scripted.stream.send(filler(35_000));
  await eventually(() => received(server) === 55_010, "the second message");
  assert.deepEqual(lengths().slice(2), [30_000, 5_005]);
});

test("control stream: a server that gives no room is left when too much waits", async () => {
  await using scripted = await ScriptedServer.start();
  const server = await scripted.answered();
  for (let count = 0; count < 17; count++) scripted.stream.send(filler(65_536));
  assert.equal(scripted.outcome, undefined);
  scripted.stream.send(filler(65_536));
  const failure = await scripted.stream.ended;
  assert.equal(failure?.code, "CONTROL_STREAM_FAILED");
  assert.match(failure?.message ?? "", /the server does not read/);
  await server.peer.ended();
  assert.equal(received(server), defaultInitialWindowSize);
});

test("control stream: the largest message comes in many frames, padded ones among them, as fast as windows open", async () => {
  await using scripted = await ScriptedServer.start();
  const server = await scripted.answered();
  const content = filler(messageLimitBytes);
  const bytes = messagesOf(content, "behind it");
  // The client's windows: SETTINGS and the first WINDOW_UPDATE made both of 1 MiB.
  const windows = new Map([0, 1].map((id) => [id, 1024 * 1024]));
  server.onFrame = ({ type, streamId, payload }) => {
    if (type === FrameType.WINDOW_UPDATE)
      windows.set(streamId, (windows.get(streamId) ?? 0) + payload.readUInt32BE(0));
  };
  for (let at = 0, count = 0; at < bytes.length; count++) {
    const padding = count % 7 === 0 ? 255 : undefined;
    const piece = bytes.subarray(at, at + 16_000);
    const payload =
      padding === undefined ? piece : Buffer.concat([Buffer.of(padding), piece, Buffer.alloc(padding)]);
    await eventually(
      () => [...windows.values()].every((octets) => octets >= payload.length),
      `room for what stands at ${at}`,
    );
    server.send(frameOf(FrameType.DATA, padding === undefined ? 0 : Flag.PADDED, 1, payload));
    for (const [id, octets] of windows) windows.set(id, octets - payload.length);
    at += piece.length;
  }
  await eventually(() => scripted.messages.length === 2, "both messages");
  assert.ok(scripted.messages[0]?.equals(content));
  assert.equal(String(scripted.messages[1]), "behind it");
});

test("control stream: a message above the limit is refused at its prefix", async () => {
  await using scripted = await ScriptedServer.start();
  const server = await scripted.answered();
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(messageLimitBytes + 1, 1);
  server.send(dataFrame(1, prefix));
  assert.equal((await scripted.stream.ended)?.code, "PROTOCOL_VIOLATION");
});

test(`control stream: with any order of windows, settings and messages both sides get all (FLOW_SEED=${seed})`, async () => {
  const random = seededRandom(seed);
  const below = (limit: number) => Math.floor(random() * limit);
  await using scripted = await ScriptedServer.start();
  const server = await scripted.answered();
  const sent: Buffer[] = [];
  const given: Buffer[] = [];
  const windows = { connection: defaultInitialWindowSize, stream: defaultInitialWindowSize };
  let initial = defaultInitialWindowSize;
  const steps = [
    () => {
      const message = filler(below(30_000));
      sent.push(message);
      scripted.stream.send(message);
    },
    () => {
      const message = filler(below(30_000));
      given.push(message);
      const bytes = messagesOf(message);
      for (let at = 0; at < bytes.length; ) {
        const end = at + 1 + below(16_384);
        server.send(dataFrame(1, bytes.subarray(at, end)));
        at = end;
      }
    },
    () => {
      const octets = 1 + below(60_000);
      windows.connection += octets;
      server.send(windowUpdateFrame(0, octets));
    },
    () => {
      const octets = 1 + below(60_000);
      windows.stream += octets;
      server.send(windowUpdateFrame(1, octets));
    },
    () => {
      const size = below(100_000);
      windows.stream += size - initial;
      initial = size;
      server.send(settingsFrame([[Setting.INITIAL_WINDOW_SIZE, size]]));
    },
  ];
  for (let count = 0; count < 150; count++) {
    steps[below(steps.length)]?.();
    if (count % 5 !== 0) continue;
    await settle(server);
    const sentBytes = messagesOf(...sent).length;
    const got = received(server);
    const room = Math.min(windows.connection, windows.stream);
    // A window that shrank may be below what had been sent before.
    if (got > room) assert.ok(windows.stream < windows.connection || got <= windows.connection);
    else assert.equal(got, Math.min(sentBytes, room), "as much as there was room for");
  }
  server.send(windowUpdateFrame(0, 2 ** 28), windowUpdateFrame(1, 2 ** 28));
  const expected = messagesOf(...sent);
  await eventually(() => received(server) === expected.length, "all that was sent");
  assert.ok(Buffer.from(server.contentOf(1), "latin1").equals(expected));
  server.send(headersFrame(1, { "grpc-status": "0" }, true));
  assert.equal(await scripted.stream.ended, undefined);
  assert.deepEqual(
    scripted.messages.map(({ length }) => length),
    given.map(({ length }) => length),
  );
});
