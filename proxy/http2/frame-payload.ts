import { ErrorCode, Flag, Setting } from "./constants.ts";
import { Http2ConnectionError } from "./errors.ts";

/** Octets [start, end) of the buffer that the payload stands in. */
export interface PayloadRange {
  readonly start: number;
  readonly end: number;
}

export interface HeaderBlockRange extends PayloadRange {
  /** The five octets of a HEADERS frame's priority (RFC 7540 section 6.2), which RFC 9113 lets everybody ignore. */
  readonly priority: Buffer | undefined;
}

const priorityBytes = 5;

/**
 * Where the content of a DATA frame with these flags is inside its payload, bytes[start, end).
 *
 * @throws Http2ConnectionError PROTOCOL_ERROR, FRAME_SIZE_ERROR: the padding does not fit (RFC 9113 section 6.1)
 */
export function dataRange(flags: number, bytes: Buffer, start = 0, end = bytes.length): PayloadRange {
  if ((flags & Flag.PADDED) === 0) return { start, end };
  if (start === end) throw tooShort();
  return unpadded(start + 1, end, bytes[start] ?? 0);
}

/**
 * Where the header block, or its first part, is inside the payload bytes[start, end) of a HEADERS frame. (A
 * CONTINUATION has nothing else in it.)
 *
 * @throws Http2ConnectionError PROTOCOL_ERROR, FRAME_SIZE_ERROR: padding or priority don't fit (RFC 9113 section 6.2)
 */
export function headerBlockFragmentRange(
  flags: number,
  bytes: Buffer,
  start = 0,
  end = bytes.length,
): HeaderBlockRange {
  const content = dataRange(flags, bytes, start, end);
  if ((flags & Flag.PRIORITY) === 0) return { ...content, priority: undefined };
  const blockStart = content.start + priorityBytes;
  if (blockStart > end) throw tooShort();
  if (blockStart > content.end) throw tooMuchPadding();
  return { start: blockStart, end: content.end, priority: bytes.subarray(content.start, blockStart) };
}

function unpadded(start: number, end: number, padding: number): PayloadRange {
  if (padding > end - start) throw tooMuchPadding();
  return { start, end: end - padding };
}

const tooShort = () =>
  new Http2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "a frame is too short for what its flags announce");
const tooMuchPadding = () =>
  new Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "a frame's padding is longer than its payload");

const settingBytes = 6;
const isFlag = { min: 0, max: 1, code: ErrorCode.PROTOCOL_ERROR };
/** Setting to its allowed values and what a wrong one is (RFC 9113 section 6.5.2, RFC 8441 section 3). */
const settingRules = new Map<number, { readonly min: number; readonly max: number; readonly code: number }>([
  [Setting.ENABLE_PUSH, isFlag],
  [Setting.ENABLE_CONNECT_PROTOCOL, isFlag],
  [Setting.INITIAL_WINDOW_SIZE, { min: 0, max: 2 ** 31 - 1, code: ErrorCode.FLOW_CONTROL_ERROR }],
  [Setting.MAX_FRAME_SIZE, { min: 2 ** 14, max: 2 ** 24 - 1, code: ErrorCode.PROTOCOL_ERROR }],
]);

/**
 * The entries of a SETTINGS frame's payload bytes[start, end), in order: a later one with the same id wins.
 *
 * @throws Http2ConnectionError PROTOCOL_ERROR, FLOW_CONTROL_ERROR: a value is out of its range
 */
export function readSettings(
  bytes: Buffer,
  start = 0,
  end = bytes.length,
): (readonly [id: number, value: number])[] {
  const entries: (readonly [number, number])[] = [];
  for (let at = start; at + settingBytes <= end; at += settingBytes) {
    const id = bytes.readUInt16BE(at);
    const value = bytes.readUInt32BE(at + 2);
    const rule = settingRules.get(id);
    if (rule !== undefined && (value < rule.min || value > rule.max)) {
      throw new Http2ConnectionError(rule.code, `SETTINGS gives ${value} to entry ${id}`);
    }
    entries.push([id, value]);
  }
  return entries;
}
