import { ErrorCode, Flag, FrameType } from "./constants.ts";
import { Http2ConnectionError } from "./errors.ts";
import { headerBlockFragmentRange } from "./frame-payload.ts";
import type { FrameHeader, FrameSink } from "./frame-reader.ts";

/** Is told of one direction of a connection, with all that has to be whole made whole. */
export interface FrameListener {
  /** A DATA frame begins; its payload follows in pieces, padding included. The header is valid during the call. */
  dataBegins(header: Readonly<FrameHeader>): void;
  /** bytes[start, end) of the DATA frame's payload; also called for an empty one. */
  dataPiece(bytes: Buffer, start: number, end: number, isLast: boolean): void;
  /** A header block without padding and priority, block[start, end). Valid during the call. */
  headerBlock(streamId: number, endsStream: boolean, block: Buffer, start: number, end: number): void;
  /** A frame of another known type with its payload[start, end). Both valid during the call. */
  control(header: Readonly<FrameHeader>, payload: Buffer, start: number, end: number): void;
}

/** Most octets of a header block as it comes, over all its frames. */
const maxBlockBytes = 1 << 20;
/** Empty CONTINUATION frames cost their sender nothing; real blocks need few. */
const maxBlockFrames = 128;
/** Most octets of any other frame that is gathered. GOAWAY may carry a text for people. */
const maxControlBytes = 16_384;

/** Octets that outlive the read that brought them. */
class Gathered {
  #storage: Buffer | undefined;
  length = 0;

  append(bytes: Buffer, start: number, end: number): void {
    const needed = this.length + end - start;
    if (this.#storage === undefined || this.#storage.length < needed) {
      const storage = Buffer.allocUnsafe(Math.max(needed, 2 * this.length));
      this.#storage?.copy(storage, 0, 0, this.length);
      this.#storage = storage;
    }
    bytes.copy(this.#storage, this.length, start, end);
    this.length = needed;
  }

  take(): Buffer {
    const bytes = this.#storage?.subarray(0, this.length) ?? Buffer.alloc(0);
    this.#storage = undefined;
    this.length = 0;
    return bytes;
  }
}

/**
 * Puts together what is of use only as a whole, header blocks and control frames, and passes DATA on as it comes.
 * What is whole in one read is not copied. Frames of unknown types are dropped (RFC 9113 section 4.1): nobody could
 * say what their receiver would make of them.
 */
export class FrameAssembly implements FrameSink {
  readonly #listener: FrameListener;
  readonly #payload = new Gathered();
  readonly #block = new Gathered();
  readonly #header: FrameHeader = { length: 0, type: 0, flags: 0, streamId: 0 };
  #hasBegun = false;
  #blockEndsStream = false;
  #blockFrames = 0;

  constructor(listener: FrameListener) {
    this.#listener = listener;
  }

  /** @throws Http2ConnectionError */
  header({ length, type, flags, streamId }: Readonly<FrameHeader>): void {
    if (!this.#hasBegun && (type !== FrameType.SETTINGS || (flags & Flag.ACK) !== 0)) {
      throw new Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS");
    }
    this.#hasBegun = true;
    const header = this.#header;
    header.length = length;
    header.type = type;
    header.flags = flags;
    header.streamId = streamId;
    switch (type) {
      case FrameType.DATA:
        this.#listener.dataBegins(header);
        return;
      case FrameType.HEADERS:
        this.#blockEndsStream = (flags & Flag.END_STREAM) !== 0;
        this.#blockFrames = 1;
        break;
      case FrameType.CONTINUATION:
        this.#blockFrames++;
        break;
      case FrameType.PUSH_PROMISE:
        throw new Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE was never allowed");
      default:
        if (isKnown(type) && length > maxControlBytes) {
          throw new Http2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "a control frame is too long");
        }
        return;
    }
    if (this.#block.length + length > maxBlockBytes || this.#blockFrames > maxBlockFrames) {
      throw new Http2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "a header block is too long");
    }
  }

  /** @throws Http2ConnectionError */
  payload(bytes: Buffer, start: number, end: number, isLast: boolean): void {
    const { type } = this.#header;
    if (type === FrameType.DATA) this.#listener.dataPiece(bytes, start, end, isLast);
    else if (!isKnown(type)) return;
    else if (isLast && this.#payload.length === 0) this.#whole(bytes, start, end);
    else {
      this.#payload.append(bytes, start, end);
      if (!isLast) return;
      const whole = this.#payload.take();
      this.#whole(whole, 0, whole.length);
    }
  }

  #whole(bytes: Buffer, start: number, end: number): void {
    const header = this.#header;
    if (header.type === FrameType.HEADERS) {
      const range = headerBlockFragmentRange(header.flags, bytes, start, end);
      this.#fragment(bytes, range.start, range.end);
    } else if (header.type === FrameType.CONTINUATION) this.#fragment(bytes, start, end);
    else this.#listener.control(header, bytes, start, end);
  }

  #fragment(bytes: Buffer, start: number, end: number): void {
    const { flags, streamId } = this.#header;
    const isLast = (flags & Flag.END_HEADERS) !== 0;
    if (isLast && this.#block.length === 0) {
      this.#listener.headerBlock(streamId, this.#blockEndsStream, bytes, start, end);
      return;
    }
    this.#block.append(bytes, start, end);
    if (!isLast) return;
    const block = this.#block.take();
    this.#listener.headerBlock(streamId, this.#blockEndsStream, block, 0, block.length);
  }
}

function isKnown(type: number): boolean {
  return type <= FrameType.CONTINUATION;
}
