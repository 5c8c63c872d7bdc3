import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { connect } from "node:tls";
import { FakeClock } from "#runtime/fake-clock";
import { ErrorCode, FrameType, preface, Setting } from "../../http2/constants.ts";
import { rstStreamFrame, settingsFrame, windowUpdateFrame } from "../../http2/frame-writer.ts";
import { createIdentity, eventually, RawUpstream } from "../../transport/raw-peers.ts";
import { dataFrame, type FramePeer, headersFrame, RawFrames, requestFrame, settled } from "./raw-frames.ts";

/** Frames of all streams through one connection, in any pieces. */

const ok = { ":status": "200" };
const lists = "/api/v1/configmaps";

/** Sends byte by byte, each in a packet of its own as far as the socket allows. */
async function trickle(peer: FramePeer, bytes: Buffer): Promise<void> {
  for (const byte of bytes) {
    peer.send(Buffer.of(byte));
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test("http2 frames: what comes byte by byte, both ways at once, is what comes at once", async () => {
  const requests = Buffer.concat([
    requestFrame(1, { ":path": `${lists}?watch=1` }),
    requestFrame(3, { ":path": "//api", ":method": "POST" }, false),
    dataFrame(3, "dropped"),
    requestFrame(5, { ":method": "PUT", "content-length": "7" }, false),
    dataFrame(5, "con"),
    windowUpdateFrame(1, 9),
    dataFrame(5, "tent"),
    headersFrame(5, { "x-sum": "1" }, true),
  ]);
  const answers = Buffer.concat([
    headersFrame(1, { ...ok, "content-type": "application/json" }),
    dataFrame(1, '{"type":'),
    headersFrame(3, { ":status": "103" }),
    headersFrame(3, ok),
    dataFrame(1, '"ADDED"}\n'),
    dataFrame(3, ""),
    dataFrame(3, "answer"),
    headersFrame(3, { "x-trailer": "1" }, true),
    rstStreamFrame(1, ErrorCode.INTERNAL_ERROR),
  ]);
  const logs: {
    readonly client: readonly string[];
    readonly upstream: readonly string[];
    readonly content: string;
  }[] = [];
  for (const isSlow of [false, true]) {
    await using mesh = await RawFrames.start();
    const { client, upstream } = await mesh.connect();
    // The floor is read in a turn of its own.
    client.send(requestFrame(101, { ":path": lists }));
    await upstream.next(FrameType.HEADERS, 1);
    const skipped = { client: client.seen.length, upstream: upstream.seen.length };
    const [up, down] = [shifted(requests, 102), shifted(answers, 2)];
    if (isSlow) {
      const sending = trickle(client, up);
      await upstream.next(FrameType.HEADERS, 5);
      await Promise.all([sending, trickle(upstream, down)]);
    } else {
      client.send(up);
      await upstream.next(FrameType.HEADERS, 5);
      upstream.send(down);
    }
    await client.next(FrameType.RST_STREAM, 103);
    await eventually(
      () => upstream.log.filter((line) => line.startsWith("HEADERS 5")).length === 2,
      "trailers",
    );
    logs.push({
      client: byStream(client.log.slice(skipped.client)),
      upstream: byStream(upstream.log.slice(skipped.upstream)),
      content:
        [103, 105, 107].map((streamId) => client.contentOf(streamId)).join("|") + upstream.contentOf(5),
    });
  }
  assert.deepEqual(logs[1], logs[0]);
  assert.match(logs[0]?.content ?? "", /^\{"type":"ADDED"\}\n\|\{"kind":"Status".*\}\n\|answercontent$/s);
});

/** The frames under numbers of streams that are higher. */
function shifted(bytes: Buffer, by: number): Buffer {
  const copy = Buffer.from(bytes);
  for (let at = 0; at < copy.length; at += 9 + copy.readUIntBE(at, 3))
    copy.writeUInt32BE(copy.readUInt32BE(at + 5) + by, at + 5);
  return copy;
}

/** The order between streams is the network's. */
function byStream(log: readonly string[]): readonly string[] {
  const streamOf = (line: string) => Number(line.split(" ")[1]);
  return log.toSorted((a, b) => streamOf(a) - streamOf(b));
}

test("http2 frames: a reset by either side waits for the frame that is half through, and the rest is dropped with its room given back", async () => {
  await using mesh = await RawFrames.start();
  const { client, upstream } = await mesh.connect();
  client.send(requestFrame(1, { ":method": "PUT" }, false));
  await upstream.next(FrameType.HEADERS, 1);
  const up = dataFrame(1, "0123456789");
  client.send(up.subarray(0, 12));
  await upstream.peer.until(() => upstream.peer.received.endsWith("012"), "half a frame");
  upstream.send(rstStreamFrame(1, ErrorCode.NO_ERROR));
  await client.next(FrameType.RST_STREAM, 1);
  client.send(up.subarray(12), dataFrame(1, "more"), requestFrame(3));
  await upstream.next(FrameType.HEADERS, 3);
  assert.equal(upstream.contentOf(1), "0123456789");
  assert.equal(client.log.at(-1), "WINDOW_UPDATE 0 +4");
  const down = dataFrame(3, "abcdefghij");
  upstream.send(headersFrame(3, ok), down.subarray(0, 12));
  await client.peer.until(() => client.peer.received.endsWith("abc"), "half a frame");
  client.send(rstStreamFrame(3, ErrorCode.CANCEL));
  await upstream.next(FrameType.RST_STREAM, 3);
  upstream.send(down.subarray(12), dataFrame(3, "late", true), headersFrame(3, { "x-trailer": "1" }, true));
  assert.equal((await upstream.next(FrameType.WINDOW_UPDATE)).payload.readUInt32BE(0), 4);
  await settled(upstream, client);
  assert.equal(client.contentOf(3), "abcdefghij");
});

test("http2 frames: a waiting request that is reset, or waits too long, never reaches the API server; no timer is left", async () => {
  const clock = new FakeClock();
  await using mesh = await RawFrames.start({ clock, readFloor: () => new Promise(() => undefined) });
  const { client, upstream } = await mesh.connect();
  const timers = clock.waiting;
  client.send(requestFrame(1, { ":path": lists }), requestFrame(3, { ":path": lists }), requestFrame(5));
  await upstream.next(FrameType.HEADERS, 1);
  client.send(rstStreamFrame(1, ErrorCode.CANCEL));
  await settled(client, upstream);
  await clock.advance(5_000);
  const head = await client.next(FrameType.HEADERS, 3);
  assert.equal(head.fields?.[":status"], "429");
  assert.equal(head.fields?.["retry-after"], "1");
  assert.match((await client.next(FrameType.DATA, 3)).payload.toString(), /FLOOR_UNKNOWN/);
  assert.deepEqual(
    upstream.log.filter((line) => line.startsWith("HEADERS")),
    ["HEADERS 1 /version end"],
  );
  assert.equal(
    client.seen.some(({ streamId }) => streamId === 1),
    false,
  );
  assert.ok(clock.waiting <= timers + 1, "only the floor's own timer");
});

test("http2 frames: the API server's limit of streams is the client's, and its refusals are passed on", async () => {
  await using mesh = await RawFrames.start();
  const { client, upstream } = await mesh.connect({
    upstreamSettings: [[Setting.MAX_CONCURRENT_STREAMS, 1]],
  });
  client.send(requestFrame(1), requestFrame(3, { ":path": "//api" }), requestFrame(5));
  await upstream.next(FrameType.HEADERS, 3);
  upstream.send(rstStreamFrame(3, ErrorCode.REFUSED_STREAM), headersFrame(1, ok, true));
  assert.equal(
    (await client.next(FrameType.RST_STREAM, 5)).payload.readUInt32BE(0),
    ErrorCode.REFUSED_STREAM,
  );
  await client.next(FrameType.HEADERS, 1);
});

test("http2 frames: answers without content, and those to HEAD, end with their head", async () => {
  await using mesh = await RawFrames.start();
  const { client, upstream } = await mesh.connect();
  client.send(
    requestFrame(1, { ":method": "HEAD" }),
    requestFrame(3, { ":method": "DELETE" }),
    requestFrame(5, { ":method": "HEAD", ":path": "//api" }),
  );
  await upstream.next(FrameType.HEADERS, 3);
  upstream.send(
    headersFrame(1, { ...ok, "content-length": "9" }, true),
    headersFrame(3, { ":status": "204" }, true),
  );
  for (const [streamId, status] of [
    [1, "200"],
    [3, "204"],
    [5, "400"],
  ] as const) {
    const { fields, flags } = await client.next(FrameType.HEADERS, streamId);
    assert.equal(`${fields?.[":status"]} ${flags & 1}`, `${status} 1`);
  }
  assert.equal(mesh.inner.counters.responses[2], 2);
});

test("http2 frames: a client that does not read keeps the API server from sending, whatever windows it grants", async () => {
  await using mesh = await RawFrames.start();
  const { client, upstream } = await mesh.connect({
    clientSettings: [[Setting.INITIAL_WINDOW_SIZE, 2 ** 31 - 1]],
  });
  client.send(windowUpdateFrame(0, 2 ** 30), requestFrame(1));
  await upstream.next(FrameType.HEADERS, 1);
  client.peer.socket.pause();
  upstream.send(headersFrame(1, ok));
  const frame = dataFrame(1, Buffer.alloc(16_384, "x"));
  const total = 64 << 20;
  let sent = 0;
  let stalledTurns = 0;
  // Until what is sent only piles up at the sender.
  while (stalledTurns < 200) {
    const { writableLength } = upstream.peer.socket;
    if (writableLength < 1 << 20 && sent < total) {
      upstream.send(frame);
      sent += 16_384;
      stalledTurns = 0;
    } else stalledTurns++;
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(sent < total / 2, `${sent} octets went into sockets and the proxy`);
  client.peer.socket.resume();
  upstream.send(dataFrame(1, "", true));
  await eventually(() => client.log.at(-1) === "DATA 1 0 end", "the end");
  assert.equal(client.contentOf(1).length, sent);
});

/** What the proxy agrees on with a client that offers both. */
async function agreed(mesh: RawFrames): Promise<string> {
  const options = {
    host: "127.0.0.1",
    port: mesh.inner.proxy.address.port,
    ca: mesh.inner.identity.caPem,
    ALPNProtocols: ["h2", "http/1.1"],
  };
  const socket = connect(options);
  await once(socket, "secureConnect");
  const protocol = socket.alpnProtocol;
  socket.destroy();
  return String(protocol);
}

test("http2 frames: when the API server speaks HTTP/2 no more, its clients are told to come again, and are offered HTTP/1.1", async () => {
  const identity = await createIdentity();
  await using modern = await RawUpstream.start(identity, ["h2", "http/1.1"]);
  await using plain = await RawUpstream.start(identity);
  let current = modern;
  const upstream = {
    host: "127.0.0.1",
    get port() {
      return current.port;
    },
    servername: "127.0.0.1",
    ca: () => identity.caPem,
  };
  await using mesh = await RawFrames.start({ upstream });
  assert.equal(await agreed(mesh), "h2");
  const client = await mesh.dial();
  current = plain;
  client.send(preface, settingsFrame([]), requestFrame(1));
  assert.equal((await client.next(FrameType.HEADERS, 1)).fields?.[":status"], "503");
  assert.equal((await client.next(FrameType.GOAWAY)).payload.readUInt32BE(0), 1);
  const deadline = AbortSignal.timeout(5_000);
  while ((await agreed(mesh)) !== "http/1.1") deadline.throwIfAborted();
});

test("http2 frames: a hundred uploads to an API server that gives little room arrive whole", async () => {
  await using mesh = await RawFrames.start();
  const { client, upstream } = await mesh.connect();
  const size = 2_000;
  const count = 100;
  for (let index = 0; index < count; index++) {
    const streamId = 2 * index + 1;
    client.send(requestFrame(streamId, { ":method": "PUT" }, false));
  }
  for (let sent = 0; sent < size; sent += 500) {
    for (let index = 0; index < count; index++) {
      const content = Buffer.alloc(500, 97 + (index % 26));
      client.send(dataFrame(2 * index + 1, content, sent + 500 === size));
    }
    upstream.send(windowUpdateFrame(0, 50_000), windowUpdateFrame(1, 500));
    await client.next(FrameType.WINDOW_UPDATE, 0);
  }
  const whole = (index: number) => upstream.contentOf(2 * index + 1).length === size;
  await eventually(() => whole(count - 1), "the last upload");
  for (let index = 0; index < count; index++) {
    assert.equal(upstream.contentOf(2 * index + 1), String.fromCharCode(97 + (index % 26)).repeat(size));
    upstream.send(headersFrame(2 * index + 1, { ":status": "201" }, true));
  }
  await client.next(FrameType.HEADERS, 2 * count - 1);
  assert.equal(mesh.inner.counters.responses[2], count);
});
