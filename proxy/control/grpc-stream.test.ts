import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "#runtime/fake-clock";
import { blockOf, dataFrame, frameOf, headersFrame } from "../apiserver/http2/raw-frames.ts";
import { ErrorCode, Flag, FrameType, maxFrameSize, preface, Setting } from "../http2/constants.ts";
import { readSettings } from "../http2/frame-payload.ts";
import { goAwayFrame, rstStreamFrame, settingsFrame, windowUpdateFrame } from "../http2/frame-writer.ts";
import { eventually } from "../transport/raw-peers.ts";
import { pingIntervalMs, pingTimeoutMs } from "./grpc-stream.ts";
import { messagesOf, okHead, ScriptedServer } from "./scripted-server.ts";

test("control stream: begins with preface, settings, a wide connection window and the request", async () => {
  await using scripted = await ScriptedServer.start();
  scripted.stream.send(Buffer.from("hello"));
  const server = await scripted.accept();
  const data = await server.next(FrameType.DATA, 1);
  assert.equal(server.peer.received.slice(0, preface.length), preface.toString("latin1"));
  assert.deepEqual(
    server.seen.map(({ type }) => type),
    [FrameType.SETTINGS, FrameType.WINDOW_UPDATE, FrameType.HEADERS, FrameType.DATA],
  );
  assert.deepEqual(data.payload, messagesOf("hello"));
  const { fields, flags, payload } = await server.next(FrameType.HEADERS);
  assert.equal(flags & Flag.END_STREAM, 0);
  assert.deepEqual(fields, {
    ":method": "POST",
    ":authority": `127.0.0.1:${scripted.upstream.port}`,
    ":scheme": "https",
    ":path": "/service/Call",
    "content-type": "application/grpc+proto",
    te: "trailers",
    "grpc-accept-encoding": "identity",
    "user-agent": "test",
    authorization: "Bearer token",
  });
  // Literal never indexed (RFC 7541 section 6.2.3) with the name of static entry 23, 15 + 8.
  assert.ok(
    payload.includes(Buffer.from([0x1f, 8, 12, ...Buffer.from("Bearer token")])),
    "the token may be kept",
  );
  const settings = await server.next(FrameType.SETTINGS);
  assert.deepEqual(readSettings(settings.payload), [
    [Setting.HEADER_TABLE_SIZE, 0],
    [Setting.ENABLE_PUSH, 0],
    [Setting.INITIAL_WINDOW_SIZE, 1 << 20],
    [Setting.MAX_HEADER_LIST_SIZE, 1 << 16],
  ]);
  assert.equal((await server.next(FrameType.WINDOW_UPDATE, 0)).payload.readUInt32BE(0), (1 << 20) - 65_535);
});

test("control stream: a token longer than a frame goes on in CONTINUATION", async () => {
  const authorization = `Bearer ${"x".repeat(40_000)}`;
  await using scripted = await ScriptedServer.start({ authorization });
  const server = await scripted.accept();
  const { fields, flags } = await server.next(FrameType.HEADERS, 1);
  assert.equal(fields?.authorization, authorization);
  assert.equal(flags & Flag.END_HEADERS, 0);
});

test("control stream: a server that does not speak HTTP/2 gets no token", async () => {
  await using scripted = await ScriptedServer.start({ protocols: [] });
  const failure = await scripted.stream.ended;
  assert.equal(failure?.code, "CONTROL_STREAM_FAILED");
  assert.match(failure?.message ?? "", /does not speak HTTP\/2/);
  assert.equal(
    scripted.upstream.peers.some(({ receivedBytes }) => receivedBytes > 0),
    false,
  );
});

test("control stream: closed by us, it is cancelled, the connection ended, and nothing of it is left", async () => {
  const clock = new FakeClock();
  await using scripted = await ScriptedServer.start({ clock });
  const server = await scripted.answered();
  await scripted.stream[Symbol.asyncDispose]();
  assert.equal(await scripted.stream.ended, undefined);
  await server.peer.ended();
  assert.deepEqual(server.log.slice(-2), [
    `RST_STREAM 1 code ${ErrorCode.CANCEL}`,
    `GOAWAY 0 last 0 code ${ErrorCode.NO_ERROR}`,
  ]);
  assert.equal(clock.waiting, 0);
});

test("control stream: closed by us before there is a connection, it ends as well", async () => {
  const clock = new FakeClock();
  await using scripted = await ScriptedServer.start({ clock });
  await scripted.stream[Symbol.asyncDispose]();
  assert.equal(clock.waiting, 0);
  scripted.stream.send(Buffer.from("too late"));
});

test("control stream: a head in pieces of CONTINUATION, after hints, and trailers alike", async () => {
  await using scripted = await ScriptedServer.start();
  const server = await scripted.accept();
  await server.next(FrameType.HEADERS, 1);
  server.send(settingsFrame([]), headersFrame(1, { ":status": "103", link: "<a>" }));
  server.send(...inPieces(okHead, 0));
  server.send(dataFrame(1, messagesOf("one")));
  const trailers = { "grpc-status": "5", "grpc-message": "no pod %22a%22 %E2%82%AC 100%" };
  server.send(...inPieces(trailers, Flag.END_STREAM));
  const failure = await scripted.stream.ended;
  assert.deepEqual(scripted.messages.map(String), ["one"]);
  assert.equal(failure?.code, "POD_NOT_FOUND");
  // What is no valid encoding stays as it is.
  assert.match(failure?.message ?? "", /NOT_FOUND: no pod %22a%22/);
});

/** A header block of three frames with padding and priority in the first. */
function inPieces(fields: Readonly<Record<string, string>>, flags: number): Buffer[] {
  const block = blockOf(fields);
  const first = Buffer.concat([Buffer.of(3, 0, 0, 0, 0, 1), block.subarray(0, 2), Buffer.alloc(3)]);
  return [
    frameOf(FrameType.HEADERS, flags | Flag.PADDED | Flag.PRIORITY, 1, first),
    frameOf(FrameType.CONTINUATION, 0, 1, block.subarray(2, 5)),
    frameOf(FrameType.CONTINUATION, 0, 1),
    frameOf(FrameType.CONTINUATION, Flag.END_HEADERS, 1, block.subarray(5)),
  ];
}

const ends: readonly [title: string, frames: readonly Buffer[], code: string | undefined, reason: RegExp][] =
  [
    [
      "with status 0 in order",
      [headersFrame(1, okHead), headersFrame(1, { "grpc-status": "0" }, true)],
      undefined,
      /^$/,
    ],
    [
      "with a percent-coded reason",
      [
        headersFrame(1, okHead),
        headersFrame(1, { "grpc-status": "7", "grpc-message": "50%25 of %C3%BC" }, true),
      ],
      "POD_NOT_BOUND",
      /PERMISSION_DENIED: 50% of ü/,
    ],
    [
      "with trailers only",
      [headersFrame(1, { ...okHead, "grpc-status": "16", "grpc-message": "who" }, true)],
      "UNAUTHENTICATED",
      /UNAUTHENTICATED: who/,
    ],
    [
      "with another HTTP status",
      [headersFrame(1, { ":status": "404", "content-type": "text/plain" }, true)],
      "CONTROL_STREAM_FAILED",
      /HTTP status 404 instead of a gRPC answer/,
    ],
    [
      "with content that is no gRPC",
      [headersFrame(1, { ":status": "200", "content-type": "text/html" })],
      "CONTROL_STREAM_FAILED",
      /content type text\/html is no gRPC/,
    ],
    [
      "without a status",
      [headersFrame(1, okHead), dataFrame(1, "", true)],
      "CONTROL_STREAM_FAILED",
      /without a gRPC status/,
    ],
    [
      "inside a message",
      [headersFrame(1, okHead), dataFrame(1, messagesOf("whole", "half").subarray(0, -1), true)],
      "CONTROL_STREAM_FAILED",
      /ended inside a message/,
    ],
    [
      "by a reset",
      [headersFrame(1, okHead), rstStreamFrame(1, ErrorCode.INTERNAL_ERROR)],
      "CONTROL_STREAM_FAILED",
      /reset the stream with INTERNAL_ERROR/,
    ],
    [
      "by being cancelled",
      [headersFrame(1, okHead), rstStreamFrame(1, ErrorCode.CANCEL)],
      "CONTROL_STREAM_FAILED",
      /without a gRPC status/,
    ],
    [
      "by a reset with a code of tomorrow",
      [rstStreamFrame(1, 0x99)],
      "CONTROL_STREAM_FAILED",
      /reset the stream with code 153/,
    ],
    [
      "by GOAWAY with an error",
      [headersFrame(1, okHead), goAwayFrame(1, ErrorCode.ENHANCE_YOUR_CALM, "calm")],
      "CONTROL_STREAM_FAILED",
      /GOAWAY with ENHANCE_YOUR_CALM/,
    ],
    [
      "by GOAWAY before it was taken",
      [goAwayFrame(0, ErrorCode.NO_ERROR)],
      "CONTROL_STREAM_FAILED",
      /goes away and takes no stream/,
    ],
  ];

for (const [title, frames, code, reason] of ends) {
  test(`control stream: ended by the server ${title}`, async () => {
    const clock = new FakeClock();
    await using scripted = await ScriptedServer.start({ clock });
    const server = await scripted.accept();
    await server.next(FrameType.HEADERS, 1);
    server.send(settingsFrame([]), ...frames);
    const failure = await scripted.stream.ended;
    assert.equal(failure?.code, code);
    assert.match(failure?.message ?? "", reason);
    await server.peer.ended();
    assert.equal(clock.waiting, 0);
  });
}

test("control stream: after GOAWAY in order it goes on until the server ends it", async () => {
  await using scripted = await ScriptedServer.start();
  const server = await scripted.answered();
  // As Go and Node do: first that it will go away some time, then which stream was the last.
  server.send(goAwayFrame(2 ** 31 - 1, ErrorCode.NO_ERROR), goAwayFrame(1, ErrorCode.NO_ERROR));
  server.send(dataFrame(1, messagesOf("one")));
  await eventually(() => scripted.messages.length === 1, "the message");
  scripted.stream.send(Buffer.from("still here"));
  assert.deepEqual((await server.next(FrameType.DATA, 1)).payload, messagesOf("still here"));
  assert.equal(scripted.outcome, undefined);
  server.send(headersFrame(1, { "grpc-status": "0" }, true));
  assert.equal(await scripted.stream.ended, undefined);
});

test("control stream: a connection that just ends is told as that", async () => {
  await using scripted = await ScriptedServer.start();
  const server = await scripted.answered();
  server.peer.socket.end();
  assert.match((await scripted.stream.ended)?.message ?? "", /the connection was closed/);
});

test("control stream: unknown frames, priorities and padding do not matter, bytes may come one by one", async () => {
  await using scripted = await ScriptedServer.start();
  const server = await scripted.accept();
  await server.next(FrameType.HEADERS, 1);
  const padded = (content: Buffer, padding: number, flags = 0): Buffer =>
    frameOf(
      FrameType.DATA,
      Flag.PADDED | flags,
      1,
      Buffer.concat([Buffer.of(padding), content, Buffer.alloc(padding, 0xff)]),
    );
  const messages = messagesOf("first", "second", "third");
  const bytes = Buffer.concat([
    settingsFrame([[0xbeef, 7]]),
    frameOf(0xee, 0xff, 1, "what is this"),
    frameOf(0xee, 0xff, 0, ""),
    headersFrame(1, okHead),
    frameOf(FrameType.PRIORITY, 0, 1, Buffer.alloc(5)),
    padded(messages.subarray(0, 7), 255),
    padded(Buffer.alloc(0), 0),
    dataFrame(1, ""),
    padded(Buffer.alloc(0), 9),
    padded(messages.subarray(7, 20), 0),
    frameOf(0xee, 0, 1, "again"),
    padded(messages.subarray(20), 3),
    headersFrame(1, { "grpc-status": "0" }, true),
  ]);
  for (const octet of bytes) server.peer.socket.write(Buffer.of(octet));
  assert.equal(await scripted.stream.ended, undefined);
  assert.deepEqual(scripted.messages.map(String), ["first", "second", "third"]);
});

const tooLong = Buffer.alloc(9);
tooLong.writeUIntBE(16_385, 0, 3);
const violations: readonly [title: string, bytes: Buffer, code: number][] = [
  ["HTTP/1.1", Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n"), ErrorCode.FRAME_SIZE_ERROR],
  ["a frame before SETTINGS", windowUpdateFrame(0, 1), ErrorCode.PROTOCOL_ERROR],
  ["a frame that is too long", afterSettings(tooLong), ErrorCode.FRAME_SIZE_ERROR],
  ["content before a head", afterSettings(dataFrame(1, "x")), ErrorCode.PROTOCOL_ERROR],
  ["content on a stream of nobody", afterSettings(dataFrame(3, "x")), ErrorCode.PROTOCOL_ERROR],
  ["a head on a stream of nobody", afterSettings(headersFrame(3, okHead)), ErrorCode.PROTOCOL_ERROR],
  ["a head without a status", afterSettings(headersFrame(1, { server: "x" })), ErrorCode.PROTOCOL_ERROR],
  ["a strange status", afterSettings(headersFrame(1, { ":status": "2e2" })), ErrorCode.PROTOCOL_ERROR],
  ["another protocol", afterSettings(headersFrame(1, { ":status": "101" })), ErrorCode.PROTOCOL_ERROR],
  ["an end with hints", afterSettings(headersFrame(1, { ":status": "103" }, true)), ErrorCode.PROTOCOL_ERROR],
  [
    "a second head",
    afterSettings(headersFrame(1, okHead), headersFrame(1, okHead)),
    ErrorCode.PROTOCOL_ERROR,
  ],
  [
    "a status in trailers",
    afterSettings(headersFrame(1, okHead), headersFrame(1, okHead, true)),
    ErrorCode.PROTOCOL_ERROR,
  ],
  [
    "fields that never end",
    afterSettings(headersFrame(1, okHead), ...Array.from({ length: 3 }, () => frameOf(9, 0, 1, "x"))),
    ErrorCode.PROTOCOL_ERROR,
  ],
  [
    "more fields than were allowed",
    afterSettings(
      frameOf(FrameType.HEADERS, 0, 1, blockOf(okHead)),
      ...Array.from({ length: 5 }, (_, at) =>
        frameOf(
          FrameType.CONTINUATION,
          at === 4 ? Flag.END_HEADERS : 0,
          1,
          blockOf({ [`x-${at}`]: "y".repeat(16_000) }),
        ),
      ),
    ),
    ErrorCode.ENHANCE_YOUR_CALM,
  ],
  [
    "a reference to a field that was never sent",
    afterSettings(frameOf(FrameType.HEADERS, Flag.END_HEADERS, 1, Buffer.of(0xbe))),
    ErrorCode.COMPRESSION_ERROR,
  ],
  [
    "more padding than frame",
    afterSettings(headersFrame(1, okHead), frameOf(FrameType.DATA, Flag.PADDED, 1, Buffer.of(2, 0))),
    ErrorCode.PROTOCOL_ERROR,
  ],
  [
    "padding without a length",
    afterSettings(headersFrame(1, okHead), frameOf(FrameType.DATA, Flag.PADDED, 1)),
    ErrorCode.FRAME_SIZE_ERROR,
  ],
  ["a promise", afterSettings(frameOf(FrameType.PUSH_PROMISE, 4, 1, "1234")), ErrorCode.PROTOCOL_ERROR],
  ["a window that grows by nothing", afterSettings(windowUpdateFrame(1, 0)), ErrorCode.PROTOCOL_ERROR],
  [
    "a connection window above all bounds",
    afterSettings(windowUpdateFrame(0, 2 ** 31 - 1)),
    ErrorCode.FLOW_CONTROL_ERROR,
  ],
  [
    "a stream's window that SETTINGS lift above all bounds",
    afterSettings(windowUpdateFrame(1, 70_000), settingsFrame([[Setting.INITIAL_WINDOW_SIZE, 2 ** 31 - 1]])),
    ErrorCode.FLOW_CONTROL_ERROR,
  ],
  ["a setting out of its range", settingsFrame([[Setting.MAX_FRAME_SIZE, 1]]), ErrorCode.PROTOCOL_ERROR],
  ["a PING on a stream", afterSettings(frameOf(FrameType.PING, 0, 1, "12345678")), ErrorCode.PROTOCOL_ERROR],
  ["half a PING", afterSettings(frameOf(FrameType.PING, 0, 0, "1234")), ErrorCode.FRAME_SIZE_ERROR],
];

function afterSettings(...frames: readonly Buffer[]): Buffer {
  return Buffer.concat([settingsFrame([]), ...frames]);
}

for (const [title, bytes, code] of violations) {
  test(`control stream: a server that sends ${title} is told why and left`, async () => {
    const clock = new FakeClock();
    await using scripted = await ScriptedServer.start({ clock });
    const server = await scripted.accept();
    await server.next(FrameType.HEADERS, 1);
    server.send(bytes);
    assert.equal((await scripted.stream.ended)?.code, "CONTROL_STREAM_FAILED");
    assert.equal((await server.next(FrameType.GOAWAY)).payload.readUInt32BE(4), code);
    await server.peer.ended();
    assert.equal(clock.waiting, 0);
  });
}

test("control stream: PING is answered with its payload, in the order of the PINGs", async () => {
  await using scripted = await ScriptedServer.start();
  const server = await scripted.answered();
  server.send(frameOf(FrameType.PING, 0, 0, "abcdefgh"), frameOf(FrameType.PING, 0, 0, "ijklmnop"));
  for (const payload of ["abcdefgh", "ijklmnop"]) {
    const answer = await server.next(FrameType.PING);
    assert.deepEqual([answer.flags, String(answer.payload)], [Flag.ACK, payload]);
  }
});

test("control stream: a server that asks and asks and does not read is left, with little kept for it", async () => {
  await using scripted = await ScriptedServer.start();
  const server = await scripted.answered();
  server.peer.socket.pause();
  const flood = Buffer.concat(
    Array.from({ length: 10_000 }, () => frameOf(FrameType.PING, 0, 0, "abcdefgh")),
  );
  let sent = 0;
  // The kernel's buffers take some megabytes of answers before anything waits here.
  while (scripted.outcome === undefined && sent < 3_000) {
    sent++;
    await new Promise((resolve) => server.peer.socket.write(flood, resolve));
  }
  assert.equal((await scripted.stream.ended)?.code, "CONTROL_STREAM_FAILED");
  assert.match((await scripted.stream.ended)?.message ?? "", /reads no answers/);
});

test("control stream: a stranger's answer to a PING is no sign of life", async () => {
  const clock = new FakeClock();
  await using scripted = await ScriptedServer.start({ clock });
  const server = await scripted.answered();
  await clock.advance(pingIntervalMs);
  await server.next(FrameType.PING);
  server.send(frameOf(FrameType.PING, Flag.ACK, 0, "abcdefgh"), dataFrame(1, messagesOf("mark")));
  await eventually(() => scripted.messages.length === 1, "the mark");
  await clock.advance(pingTimeoutMs);
  assert.match((await scripted.stream.ended)?.message ?? "", /no answer to a PING/);
});

test("control stream: a largest frame of the server's own limit is not taken: nobody allowed it", async () => {
  await using scripted = await ScriptedServer.start();
  const server = await scripted.answered([[Setting.MAX_FRAME_SIZE, maxFrameSize]]);
  server.send(dataFrame(1, Buffer.alloc(16_385)));
  assert.match((await scripted.stream.ended)?.message ?? "", /16385 octets where 16384/);
});
