import { ErrorCode, Flag, FrameType } from "./constants.ts";
import { Http2ConnectionError } from "./errors.ts";

/** A frame's header (RFC 9113 section 4.1). */
export interface FrameHeader {
  /** Octets of the payload. */
  length: number;
  type: number;
  flags: number;
  /** Without the reserved bit. */
  streamId: number;
}

const protocolError = (what: string) => new Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, what);
const frameSizeError = (what: string) => new Http2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, what);

/** "stream": belongs to one; "connection": to none; "any": to either. */
interface FrameRule {
  readonly name: string;
  readonly on: "stream" | "connection" | "any";
  /** Octets of the payload; undefined when any number is right. */
  readonly length?: number;
}

/** RFC 9113 section 6, by type. */
const rules: readonly FrameRule[] = [
  { name: "DATA", on: "stream" },
  { name: "HEADERS", on: "stream" },
  { name: "PRIORITY", on: "stream", length: 5 },
  { name: "RST_STREAM", on: "stream", length: 4 },
  { name: "SETTINGS", on: "connection" },
  { name: "PUSH_PROMISE", on: "stream" },
  { name: "PING", on: "connection", length: 8 },
  { name: "GOAWAY", on: "connection" },
  { name: "WINDOW_UPDATE", on: "any", length: 4 },
  { name: "CONTINUATION", on: "stream" },
];

/**
 * What a frame's header says by itself must fit its type. Wrong lengths of PRIORITY and RST_STREAM, which could
 * be held against one stream only, end the connection as well: nobody sends them by accident.
 *
 * @throws Http2ConnectionError PROTOCOL_ERROR, FRAME_SIZE_ERROR
 */
export function checkFrameHeader({ type, length, flags, streamId }: FrameHeader): void {
  const rule = rules[type];
  if (rule === undefined) return;
  if (rule.on === "stream" && streamId === 0) throw protocolError(`${rule.name} on stream 0`);
  if (rule.on === "connection" && streamId !== 0) throw protocolError(`${rule.name} on a stream`);
  if (rule.length !== undefined && rule.length !== length) {
    throw frameSizeError(`${rule.name} with ${length} octets instead of ${rule.length}`);
  }
  if (type === FrameType.SETTINGS && length % 6 !== 0) throw frameSizeError("SETTINGS with half an entry");
  if (type === FrameType.SETTINGS && length > 0 && (flags & Flag.ACK) !== 0) {
    throw frameSizeError("an acknowledgement of SETTINGS with entries of its own");
  }
  if (type === FrameType.GOAWAY && length < 8) throw frameSizeError(`GOAWAY with ${length} octets only`);
}

/** Follows whether a header block is unfinished: then only its own CONTINUATION may come (RFC 9113 section 4.3). */
export class HeaderBlockOrder {
  /** Stream of the unfinished block; 0 when there is none. */
  #streamId = 0;

  /** @throws Http2ConnectionError PROTOCOL_ERROR */
  check({ type, flags, streamId }: FrameHeader): void {
    const isContinuation = type === FrameType.CONTINUATION;
    if (isContinuation !== (this.#streamId !== 0) || (isContinuation && streamId !== this.#streamId)) {
      throw protocolError(
        this.#streamId === 0
          ? "CONTINUATION without a header block before it"
          : `a header block on stream ${this.#streamId} is interrupted`,
      );
    }
    if (isContinuation || type === FrameType.HEADERS || type === FrameType.PUSH_PROMISE) {
      this.#streamId = (flags & Flag.END_HEADERS) === 0 ? streamId : 0;
    }
  }
}
