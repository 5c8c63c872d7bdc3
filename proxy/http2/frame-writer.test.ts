import assert from "node:assert/strict";
import { test } from "node:test";
import { Flag, FrameType } from "./constants.ts";
import { FrameReader } from "./frame-reader.ts";
import { dataFrames, headersFrames } from "./frame-writer.ts";

function kinds(bytes: Buffer): (readonly number[])[] {
  const frames: (readonly number[])[] = [];
  new FrameReader({ maxFrameSize: 1 << 20 }).push(bytes, {
    header: ({ type, flags, length, streamId }) => frames.push([type, flags, length, streamId]),
    payload: () => undefined,
  });
  return frames;
}

test("headersFrames: END_STREAM is on HEADERS, END_HEADERS on the last frame", () => {
  const split = { endStream: true, maxFrameSize: 10 };
  assert.deepEqual(kinds(headersFrames(7, Buffer.alloc(25), split)), [
    [FrameType.HEADERS, Flag.END_STREAM, 10, 7],
    [FrameType.CONTINUATION, 0, 10, 7],
    [FrameType.CONTINUATION, Flag.END_HEADERS, 5, 7],
  ]);
  assert.deepEqual(kinds(headersFrames(7, Buffer.alloc(10), { ...split, endStream: false })), [
    [FrameType.HEADERS, Flag.END_HEADERS, 10, 7],
  ]);
});

test("dataFrames: END_STREAM is on the last frame; no content is one empty frame", () => {
  const split = { endStream: true, maxFrameSize: 10 };
  assert.deepEqual(kinds(dataFrames(7, Buffer.alloc(20), split)), [
    [FrameType.DATA, 0, 10, 7],
    [FrameType.DATA, Flag.END_STREAM, 10, 7],
  ]);
  assert.deepEqual(kinds(dataFrames(7, Buffer.alloc(0), split)), [[FrameType.DATA, Flag.END_STREAM, 0, 7]]);
  assert.deepEqual(kinds(dataFrames(7, Buffer.alloc(3), { ...split, endStream: false })), [
    [FrameType.DATA, 0, 3, 7],
  ]);
});
