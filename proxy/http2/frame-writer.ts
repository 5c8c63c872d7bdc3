import { Flag, FrameType, frameHeaderBytes } from "./constants.ts";

/**
 * Writes a frame's header (RFC 9113 section 4.1) into `target` at `offset`.
 *
 * @returns the offset behind it
 */
export function writeFrameHeader(
  target: Buffer,
  offset: number,
  length: number,
  type: number,
  flags: number,
  streamId: number,
): number {
  target.writeUIntBE(length, offset, 3);
  target[offset + 3] = type;
  target[offset + 4] = flags;
  return target.writeUInt32BE(streamId, offset + 5);
}

function emptyFrame(length: number, type: number, flags: number, streamId: number): Buffer {
  const frame = Buffer.allocUnsafe(frameHeaderBytes + length);
  writeFrameHeader(frame, 0, length, type, flags, streamId);
  return frame;
}

export function settingsFrame(entries: readonly (readonly [id: number, value: number])[]): Buffer {
  const frame = emptyFrame(entries.length * 6, FrameType.SETTINGS, 0, 0);
  let at = frameHeaderBytes;
  for (const [id, value] of entries) at = frame.writeUInt32BE(value, frame.writeUInt16BE(id, at));
  return frame;
}

export function settingsAckFrame(): Buffer {
  return emptyFrame(0, FrameType.SETTINGS, Flag.ACK, 0);
}

/** `payload`: the eight octets of the PING that it answers. */
export function pingAckFrame(payload: Uint8Array): Buffer {
  const frame = emptyFrame(8, FrameType.PING, Flag.ACK, 0);
  frame.set(payload, frameHeaderBytes);
  return frame;
}

export function rstStreamFrame(streamId: number, errorCode: number): Buffer {
  const frame = emptyFrame(4, FrameType.RST_STREAM, 0, streamId);
  frame.writeUInt32BE(errorCode, frameHeaderBytes);
  return frame;
}

/** `debug`: text for whoever reads the other side's log. */
export function goAwayFrame(lastStreamId: number, errorCode: number, debug = ""): Buffer {
  const text = Buffer.from(debug);
  const frame = emptyFrame(8 + text.length, FrameType.GOAWAY, 0, 0);
  const at = frame.writeUInt32BE(lastStreamId, frameHeaderBytes);
  frame.set(text, frame.writeUInt32BE(errorCode, at));
  return frame;
}

/** `octets`: 1 to 2^31 - 1. */
export function windowUpdateFrame(streamId: number, octets: number): Buffer {
  const frame = emptyFrame(4, FrameType.WINDOW_UPDATE, 0, streamId);
  frame.writeUInt32BE(octets, frameHeaderBytes);
  return frame;
}

export interface FrameSplit {
  /** Whether nothing follows on the stream. */
  readonly endStream: boolean;
  /** The SETTINGS_MAX_FRAME_SIZE of whoever gets the frames. */
  readonly maxFrameSize: number;
}

/** The content as DATA frames, one behind the other in one buffer. Flow control is the caller's. */
export function dataFrames(streamId: number, content: Uint8Array, split: FrameSplit): Buffer {
  return sequence(streamId, content, split.maxFrameSize, (_isFirst, isLast) => ({
    type: FrameType.DATA,
    flags: isLast && split.endStream ? Flag.END_STREAM : 0,
  }));
}

/** A header block as HEADERS and as many CONTINUATION frames as it takes, in one buffer. */
export function headersFrames(streamId: number, block: Uint8Array, split: FrameSplit): Buffer {
  return sequence(streamId, block, split.maxFrameSize, (isFirst, isLast) => ({
    type: isFirst ? FrameType.HEADERS : FrameType.CONTINUATION,
    flags: (isLast ? Flag.END_HEADERS : 0) | (isFirst && split.endStream ? Flag.END_STREAM : 0),
  }));
}

function sequence(
  streamId: number,
  content: Uint8Array,
  maxFrameSize: number,
  kindOf: (isFirst: boolean, isLast: boolean) => { readonly type: number; readonly flags: number },
): Buffer {
  const count = Math.max(1, Math.ceil(content.length / maxFrameSize));
  const frames = Buffer.allocUnsafe(count * frameHeaderBytes + content.length);
  let at = 0;
  for (let index = 0; index < count; index++) {
    const start = index * maxFrameSize;
    const end = Math.min(content.length, start + maxFrameSize);
    const { type, flags } = kindOf(index === 0, index === count - 1);
    at = writeFrameHeader(frames, at, end - start, type, flags, streamId);
    frames.set(count === 1 ? content : content.subarray(start, end), at);
    at += end - start;
  }
  return frames;
}
