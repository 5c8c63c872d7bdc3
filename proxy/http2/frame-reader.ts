import { ErrorCode, frameHeaderBytes } from "./constants.ts";
import { Http2ConnectionError } from "./errors.ts";
import { checkFrameHeader, type FrameHeader, HeaderBlockOrder } from "./frame-rules.ts";

export type { FrameHeader } from "./frame-rules.ts";

/** Is told of frames, in their order. */
export interface FrameSink {
  /** `raw`: the header's nine octets as they came. Both arguments are the reader's own and valid during the call. */
  header(header: Readonly<FrameHeader>, raw: Buffer): void;
  /**
   * A piece of the payload: bytes[start, end) of what was pushed. `isLast` ends the frame; a frame without
   * payload has one empty piece.
   */
  payload(bytes: Buffer, start: number, end: number, isLast: boolean): void;
}

/** Whoever has an interest in which bytes are not needed any more. */
export interface HeaderRead {
  consumedTo(offset: number): void;
}

/**
 * Splits one direction of an HTTP/2 connection into frames (RFC 9113 section 4), behind the preface. Payloads are
 * neither gathered nor copied. Refused is what a frame's header and its place already tell is wrong, so that
 * whoever follows the frames and whoever gets them never disagree about where a header block ends.
 */
export class FrameReader {
  /** Most octets of a payload: the SETTINGS_MAX_FRAME_SIZE that the sender of these frames has to keep to. */
  maxFrameSize: number;
  readonly #raw = Buffer.alloc(frameHeaderBytes);
  readonly #header: FrameHeader = { length: 0, type: 0, flags: 0, streamId: 0 };
  readonly #order = new HeaderBlockOrder();
  /** Octets of the header that are there; all of them while the payload is read. */
  #headerFilled = 0;
  #remaining = 0;

  constructor({ maxFrameSize }: { readonly maxFrameSize: number }) {
    this.maxFrameSize = maxFrameSize;
  }

  /** Whether the bytes so far end with a whole frame. */
  get isBetweenFrames(): boolean {
    return this.#headerFilled === 0;
  }

  /**
   * Takes the next bytes, all of them.
   *
   * @param headerRead is told, before each header, how many of the bytes are behind
   * @throws Http2ConnectionError FRAME_SIZE_ERROR, PROTOCOL_ERROR, and what the sink throws; the connection can't
   * be read any further then
   */
  push(bytes: Buffer, sink: FrameSink, headerRead?: HeaderRead): void {
    const end = bytes.length;
    let at = 0;
    while (at < end) {
      if (this.#headerFilled < frameHeaderBytes) {
        this.#raw[this.#headerFilled++] = bytes[at++] ?? 0;
        if (this.#headerFilled < frameHeaderBytes) continue;
        this.#readHeader();
        headerRead?.consumedTo(at);
        sink.header(this.#header, this.#raw);
        if (this.#remaining > 0) continue;
      }
      const start = at;
      at = Math.min(end, start + this.#remaining);
      this.#remaining -= at - start;
      if (this.#remaining === 0) this.#headerFilled = 0;
      sink.payload(bytes, start, at, this.#remaining === 0);
    }
  }

  #readHeader(): void {
    const header = this.#header;
    const raw = this.#raw;
    header.length = raw.readUIntBE(0, 3);
    header.type = raw[3] ?? 0;
    header.flags = raw[4] ?? 0;
    header.streamId = raw.readUInt32BE(5) & 0x7fffffff;
    if (header.length > this.maxFrameSize) {
      throw new Http2ConnectionError(
        ErrorCode.FRAME_SIZE_ERROR,
        `a frame has ${header.length} octets where ${this.maxFrameSize} are allowed`,
      );
    }
    this.#order.check(header);
    checkFrameHeader(header);
    this.#remaining = header.length;
  }
}
