import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ErrorCode, Flag, FrameType } from "./constants.ts";
import { Http2ConnectionError } from "./errors.ts";
import { FrameReader, type FrameSink } from "./frame-reader.ts";
import {
  dataFrames,
  goAwayFrame,
  headersFrames,
  pingAckFrame,
  rstStreamFrame,
  settingsAckFrame,
  settingsFrame,
  windowUpdateFrame,
  writeFrameHeader,
} from "./frame-writer.ts";

/** Gathers what the reader tells, and checks that the pieces are told as promised. */
class Gathering implements FrameSink {
  readonly frames: { type: number; flags: number; streamId: number; hex: string }[] = [];
  readonly raw: Buffer[] = [];
  #pieces: Buffer[] = [];
  #length = 0;

  header(header: { length: number; type: number; flags: number; streamId: number }, raw: Buffer): void {
    const { length, ...rest } = header;
    this.frames.push({ ...rest, hex: "" });
    this.raw.push(Buffer.from(raw));
    this.#pieces = [];
    this.#length = length;
  }

  payload(bytes: Buffer, start: number, end: number, isLast: boolean): void {
    this.#pieces.push(Buffer.from(bytes.subarray(start, end)));
    this.raw.push(Buffer.from(bytes.subarray(start, end)));
    const payload = Buffer.concat(this.#pieces);
    assert.equal(isLast, payload.length === this.#length);
    assert.ok(end > start || this.#length === 0, "an empty piece of a frame that is not empty");
    const frame = this.frames.at(-1);
    if (isLast && frame !== undefined) frame.hex = payload.toString("hex");
  }
}

function read(pieces: readonly Buffer[], maxFrameSize = 16_384): Gathering {
  const sink = new Gathering();
  const reader = new FrameReader({ maxFrameSize });
  for (const piece of pieces) reader.push(piece, sink);
  return sink;
}

const frame = (type: number, flags: number, streamId: number, length = 0): Buffer => {
  const bytes = Buffer.alloc(9 + length, 0x5a);
  writeFrameHeader(bytes, 0, length, type, flags, streamId);
  return bytes;
};

function assertRefused(pieces: readonly Buffer[], code: number, message: RegExp): void {
  assert.throws(
    () => read(pieces),
    (error) => {
      assert.ok(error instanceof Http2ConnectionError, String(error));
      assert.equal(error.errorCode, code);
      assert.match(error.message, message);
      return true;
    },
  );
}

test("FrameReader: the small frames", () => {
  const { frames } = read([
    settingsFrame([
      [1, 0],
      [4, 2 ** 31 - 1],
    ]),
    settingsAckFrame(),
    pingAckFrame(Buffer.from("12345678")),
    rstStreamFrame(2 ** 31 - 1, ErrorCode.CANCEL),
    windowUpdateFrame(0, 2 ** 31 - 1),
    goAwayFrame(5, ErrorCode.ENHANCE_YOUR_CALM, "too much"),
  ]);
  assert.deepEqual(frames, [
    { type: FrameType.SETTINGS, flags: 0, streamId: 0, hex: "00010000000000047fffffff" },
    { type: FrameType.SETTINGS, flags: Flag.ACK, streamId: 0, hex: "" },
    { type: FrameType.PING, flags: Flag.ACK, streamId: 0, hex: "3132333435363738" },
    { type: FrameType.RST_STREAM, flags: 0, streamId: 2 ** 31 - 1, hex: "00000008" },
    { type: FrameType.WINDOW_UPDATE, flags: 0, streamId: 0, hex: "7fffffff" },
    { type: FrameType.GOAWAY, flags: 0, streamId: 0, hex: "000000050000000b746f6f206d756368" },
  ]);
});

test("FrameReader: the reserved bit of a stream id is masked, and kept in the raw header", () => {
  const bytes = frame(FrameType.DATA, 0, 1);
  bytes[5] = 0x80;
  const { frames, raw } = read([bytes]);
  assert.equal(frames[0]?.streamId, 1);
  assert.deepEqual(raw[0], bytes);
});

test("FrameReader: a frame without payload is told as soon as its header is there", () => {
  const told: string[] = [];
  const reader = new FrameReader({ maxFrameSize: 16_384 });
  reader.push(settingsAckFrame(), {
    header: () => told.push("header"),
    payload: (_bytes, start, end, isLast) => told.push(`payload ${end - start} ${isLast}`),
  });
  assert.deepEqual(told, ["header", "payload 0 true"]);
  assert.equal(reader.isBetweenFrames, true);
});

test("FrameReader: unknown types pass, wherever they belong", () => {
  assert.equal(read([frame(0x10, 0xff, 0, 3), frame(0xfe, 0, 7, 0)]).frames.length, 2);
});

test("FrameReader: the limit of a frame's size can change between frames", () => {
  const reader = new FrameReader({ maxFrameSize: 16_384 });
  const sink = new Gathering();
  reader.push(frame(FrameType.DATA, 0, 1, 16_384), sink);
  assert.throws(() => new FrameReader({ maxFrameSize: 16_384 }).push(frame(0, 0, 1, 16_385), sink));
  reader.maxFrameSize = 20_000;
  reader.push(frame(FrameType.DATA, 0, 1, 16_385), sink);
  assert.equal(sink.frames.length, 2);
});

test("FrameReader: an oversized frame is refused from its header alone", () => {
  assertRefused(
    [frame(0, 0, 1, 16_385).subarray(0, 9)],
    ErrorCode.FRAME_SIZE_ERROR,
    /16385 octets where 16384/,
  );
});

const { FRAME_SIZE_ERROR, PROTOCOL_ERROR } = ErrorCode;
const headersOpen = frame(FrameType.HEADERS, 0, 1);
const refusals: readonly (readonly [
  what: string,
  frames: readonly Buffer[],
  code: number,
  message: RegExp,
])[] = [
  ["DATA on stream 0", [frame(FrameType.DATA, 0, 0)], PROTOCOL_ERROR, /DATA on stream 0/],
  ["HEADERS on stream 0", [frame(FrameType.HEADERS, 4, 0)], PROTOCOL_ERROR, /HEADERS on stream 0/],
  [
    "RST_STREAM on stream 0",
    [frame(FrameType.RST_STREAM, 0, 0, 4)],
    PROTOCOL_ERROR,
    /RST_STREAM on stream 0/,
  ],
  ["SETTINGS on a stream", [frame(FrameType.SETTINGS, 0, 1)], PROTOCOL_ERROR, /SETTINGS on a stream/],
  ["PING on a stream", [frame(FrameType.PING, 0, 1, 8)], PROTOCOL_ERROR, /PING on a stream/],
  ["GOAWAY on a stream", [frame(FrameType.GOAWAY, 0, 1, 8)], PROTOCOL_ERROR, /GOAWAY on a stream/],
  ["a short PING", [frame(FrameType.PING, 0, 0, 7)], FRAME_SIZE_ERROR, /PING with 7/],
  ["a long RST_STREAM", [frame(FrameType.RST_STREAM, 0, 1, 5)], FRAME_SIZE_ERROR, /RST_STREAM with 5/],
  ["a short PRIORITY", [frame(FrameType.PRIORITY, 0, 1, 4)], FRAME_SIZE_ERROR, /PRIORITY with 4/],
  [
    "a long WINDOW_UPDATE",
    [frame(FrameType.WINDOW_UPDATE, 0, 0, 5)],
    FRAME_SIZE_ERROR,
    /WINDOW_UPDATE with 5/,
  ],
  ["half a setting", [frame(FrameType.SETTINGS, 0, 0, 7)], FRAME_SIZE_ERROR, /half an entry/],
  ["an ack with settings", [frame(FrameType.SETTINGS, 1, 0, 6)], FRAME_SIZE_ERROR, /acknowledgement/],
  ["a short GOAWAY", [frame(FrameType.GOAWAY, 0, 0, 7)], FRAME_SIZE_ERROR, /GOAWAY with 7/],
  ["CONTINUATION alone", [frame(FrameType.CONTINUATION, 4, 1)], PROTOCOL_ERROR, /without a header block/],
  ["DATA inside a header block", [headersOpen, frame(FrameType.DATA, 0, 1)], PROTOCOL_ERROR, /interrupted/],
  ["an unknown type inside a header block", [headersOpen, frame(0x33, 0, 1)], PROTOCOL_ERROR, /interrupted/],
  [
    "CONTINUATION on another stream",
    [headersOpen, frame(FrameType.CONTINUATION, 4, 3)],
    PROTOCOL_ERROR,
    /stream 1 is interrupted/,
  ],
  [
    "CONTINUATION behind a finished block",
    [headersOpen, frame(FrameType.CONTINUATION, 4, 1), frame(FrameType.CONTINUATION, 4, 1)],
    PROTOCOL_ERROR,
    /without a header block/,
  ],
  [
    "DATA inside a promised header block",
    [frame(FrameType.PUSH_PROMISE, 0, 1, 4), frame(FrameType.DATA, 0, 1)],
    PROTOCOL_ERROR,
    /interrupted/,
  ],
];
for (const [what, frames, code, message] of refusals) {
  test(`FrameReader: refuses ${what}`, () => assertRefused(frames, code, message));
}

test("FrameReader: any split of the bytes gives the same frames and the same bytes", () => {
  const bytes = Buffer.concat([
    settingsFrame([[3, 100]]),
    headersFrames(1, Buffer.alloc(50, 1), { endStream: false, maxFrameSize: 20 }),
    dataFrames(1, Buffer.alloc(70, 2), { endStream: true, maxFrameSize: 30 }),
    settingsAckFrame(),
    frame(FrameType.DATA, 0, 3, 0),
    windowUpdateFrame(3, 9),
  ]);
  const whole = read([bytes]);
  fc.assert(
    fc.property(fc.array(fc.nat({ max: bytes.length }), { maxLength: 40 }), (cuts) => {
      const places = [0, ...cuts, bytes.length].sort((a, b) => a - b);
      const pieces = places.slice(1).map((end, index) => bytes.subarray(places[index], end));
      const split = read(pieces);
      assert.deepEqual(split.frames, whole.frames);
      assert.deepEqual(Buffer.concat(split.raw), bytes);
    }),
  );
});

test("FrameReader: any octets are frames or refused with a connection error", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (octets) => {
      try {
        read([Buffer.from(octets)], 1000);
      } catch (error) {
        assert.ok(error instanceof Http2ConnectionError, String(error));
      }
    }),
    { numRuns: 1000 },
  );
});
