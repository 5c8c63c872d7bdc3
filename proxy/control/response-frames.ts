import { ErrorCode, Flag, FrameType } from "../http2/constants.ts";
import { Http2ConnectionError } from "../http2/errors.ts";
import type { FrameListener } from "../http2/frame-assembly.ts";
import { readSettings } from "../http2/frame-payload.ts";
import type { FrameHeader } from "../http2/frame-reader.ts";
import { HpackDecoder } from "../http2/hpack-decoder.ts";
import type { HeaderField } from "../http2/hpack-field.ts";
import { FrameContent } from "./frame-content.ts";

/** Fields of a head or of trailers by name. Of one that comes more than once, the first. */
export type Fields = ReadonlyMap<string, string>;

/** Is told what a server's frames on a connection with one stream mean. May throw Http2ConnectionError. */
export interface ResponseListener {
  /** Entries of a SETTINGS frame, which has to be acknowledged. */
  settings(entries: readonly (readonly [id: number, value: number])[]): void;
  /** The final head of the answer, ":status" in it. */
  head(fields: Fields): void;
  /** A piece of the content; a part of what was read. */
  content(bytes: Buffer): void;
  /** A DATA frame of so many octets, padding included, is over. */
  dataEnds(octets: number): void;
  trailers(fields: Fields): void;
  /** The answer is complete. */
  end(): void;
  reset(errorCode: number): void;
  goAway(lastStreamId: number, errorCode: number): void;
  /** `payload`: the eight octets that the answer has to carry; valid during the call. */
  ping(payload: Buffer): void;
  pingAnswer(payload: Buffer): void;
  windowUpdate(which: "connection" | "stream", octets: number): void;
}

/** Most octets of a decoded head or of trailers; announced to the server. */
export const maxListBytes = 64 * 1024;

const violation = (what: string) => new Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, what);

/**
 * Reads the server's frames on a connection that has one stream, a request of ours (RFC 9113 section 8.1). There
 * is nobody else whom a wrong frame on the stream could be kept from, so it ends the connection.
 */
export class ResponseFrames implements FrameListener {
  readonly #streamId: number;
  readonly #listener: ResponseListener;
  /** Without a table: our SETTINGS said so before the request that these blocks answer. */
  readonly #decoder = new HpackDecoder({ maxTableSize: 0, maxListBytes });
  readonly #content = new FrameContent();
  #hasHead = false;
  #endsStream = false;
  /** Octets of the DATA frame that is being read. */
  #dataBytes = 0;

  constructor(streamId: number, listener: ResponseListener) {
    this.#streamId = streamId;
    this.#listener = listener;
  }

  dataBegins({ streamId, length, flags }: Readonly<FrameHeader>): void {
    this.#checkStream(streamId);
    if (!this.#hasHead) throw violation("content without a head before it");
    this.#endsStream = (flags & Flag.END_STREAM) !== 0;
    this.#content.begin(length, flags);
    this.#dataBytes = length;
  }

  dataPiece(bytes: Buffer, start: number, end: number, isLast: boolean): void {
    const content = this.#content.piece(bytes, start, end);
    if (content !== undefined) this.#listener.content(content);
    if (!isLast) return;
    this.#listener.dataEnds(this.#dataBytes);
    if (this.#endsStream) this.#listener.end();
  }

  headerBlock(streamId: number, endsStream: boolean, block: Buffer, start: number, end: number): void {
    this.#checkStream(streamId);
    const { fields, isTooLarge } = this.#decoder.decode(block, start, end);
    if (isTooLarge)
      throw new Http2ConnectionError(
        ErrorCode.ENHANCE_YOUR_CALM,
        `more than ${maxListBytes} octets of fields`,
      );
    if (this.#hasHead) this.#readTrailers(fields, endsStream);
    else this.#readHead(fields, endsStream);
    if (endsStream) this.#listener.end();
  }

  #readHead(fields: readonly HeaderField[], endsStream: boolean): void {
    const status = fields[0];
    if (status?.name !== ":status" || !/^[1-5]\d\d$/.test(status.value))
      throw violation("a head that does not begin with a status");
    if (status.value.startsWith("1")) {
      // Early hints and the like; the real head follows. 101 is not for HTTP/2 (section 8.6).
      if (endsStream || status.value === "101") throw violation(`an answer that is only ${status.value}`);
      return;
    }
    this.#hasHead = true;
    this.#listener.head(byName(fields));
  }

  #readTrailers(fields: readonly HeaderField[], endsStream: boolean): void {
    if (!endsStream) throw violation("a second head");
    if (fields.some(({ name }) => name.startsWith(":"))) throw violation("a pseudo field in trailers");
    this.#listener.trailers(byName(fields));
  }

  control(
    { type, flags, streamId }: Readonly<FrameHeader>,
    payload: Buffer,
    start: number,
    end: number,
  ): void {
    const isAck = (flags & Flag.ACK) !== 0;
    switch (type) {
      case FrameType.SETTINGS:
        if (!isAck) this.#listener.settings(readSettings(payload, start, end));
        return;
      case FrameType.PING:
        if (isAck) this.#listener.pingAnswer(payload.subarray(start, end));
        else this.#listener.ping(payload.subarray(start, end));
        return;
      case FrameType.GOAWAY:
        this.#listener.goAway(payload.readUInt32BE(start) & 0x7fffffff, payload.readUInt32BE(start + 4));
        return;
      case FrameType.WINDOW_UPDATE:
        if (streamId !== 0) this.#checkStream(streamId);
        this.#listener.windowUpdate(
          streamId === 0 ? "connection" : "stream",
          payload.readUInt32BE(start) & 0x7fffffff,
        );
        return;
      case FrameType.RST_STREAM:
        this.#checkStream(streamId);
        this.#listener.reset(payload.readUInt32BE(start));
        return;
      default: // PRIORITY, which everybody may ignore (section 5.3.2).
    }
  }

  /** No other stream was ever opened, by either side. */
  #checkStream(streamId: number): void {
    if (streamId !== this.#streamId) throw violation(`a frame on stream ${streamId}, which is not open`);
  }
}

function byName(fields: readonly HeaderField[]): Fields {
  const first = new Map<string, string>();
  for (const { name, value } of fields) if (!first.has(name)) first.set(name, value);
  return first;
}
