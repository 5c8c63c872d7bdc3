import { ErrorCode, Flag, FrameType, Setting } from "../../http2/constants.ts";
import { Http2ConnectionError, Http2StreamError } from "../../http2/errors.ts";
import type { FrameListener } from "../../http2/frame-assembly.ts";
import type { FrameHeader } from "../../http2/frame-reader.ts";
import { rstStreamFrame } from "../../http2/frame-writer.ts";
import { type DecodedHeaders, HpackDecoder } from "../../http2/hpack-decoder.ts";
import { encodeFields } from "../../http2/hpack-encoder.ts";
import { checkTrailers } from "../../http2/request-fields.ts";
import { settingsForUpstream } from "../../http2/settings.ts";
import {
  giveBack,
  type Link,
  moveStreamWindows,
  tellOfConnectionWindow,
  tellOfStreamWindow,
} from "./link.ts";
import type { Http2Stream } from "./stream.ts";

/** Decides about new requests. */
export interface RequestListener {
  /** The client opened a stream. */
  request(streamId: number, endsStream: boolean, headers: DecodedHeaders): void;
}

/** Most octets of a decoded request head: what the API server (Go's net/http) takes by default. */
const maxListBytes = 1 << 20;

/**
 * Frames from the client. Request heads are decoded, since they are what is decided about; all else goes on under the
 * API server's number of the stream, or nowhere when it never heard of the stream.
 */
export class ClientFrames implements FrameListener {
  readonly #link: Link;
  readonly #listener: RequestListener;
  readonly #decoder = new HpackDecoder({ maxTableSize: 4096, maxListBytes });
  /** Sizes of the table for request fields that the client has been told and has not acked. */
  readonly #tableSizes: (number | undefined)[] = [];
  /** Where the DATA frame that is being read goes; undefined: nowhere. */
  #target: Http2Stream | undefined;
  #endsStream = false;
  #droppedOctets = 0;

  constructor(link: Link, listener: RequestListener) {
    this.#link = link;
    this.#listener = listener;
  }

  /** Settings of the API server went to the client. */
  settingsSent(values: ReadonlyMap<number, number>): void {
    this.#tableSizes.push(values.get(Setting.HEADER_TABLE_SIZE));
  }

  dataBegins({ streamId, length, flags }: FrameHeader): void {
    const { streams, toUpstream } = this.#link;
    this.#mustBeKnown(streamId);
    const stream = streams.byId(streamId);
    this.#endsStream = (flags & Flag.END_STREAM) !== 0;
    if (stream?.isForwarded === true && !stream.isRequestDone) {
      this.#target = stream;
      toUpstream.beginData(length, flags, stream.upstreamId);
    } else {
      this.#target = undefined;
      this.#droppedOctets = length;
    }
  }

  dataPiece(bytes: Buffer, start: number, end: number, isLast: boolean): void {
    const target = this.#target;
    if (target !== undefined) this.#link.toUpstream.pass(bytes, start, end, isLast);
    else if (isLast) giveBack(this.#link.toClient, this.#droppedOctets);
    if (isLast && this.#endsStream && target !== undefined) this.#link.requestDone(target);
  }

  headerBlock(streamId: number, endsStream: boolean, block: Buffer, start: number, end: number): void {
    // Also of a stream that is of no interest any more: the table for those that follow depends on it.
    const headers = this.#decoder.decode(block, start, end);
    const { streams } = this.#link;
    if (streamId % 2 === 0) throw protocolError("a client opened a stream with an even number");
    if (streamId > streams.lastId) {
      streams.lastId = streamId;
      this.#listener.request(streamId, endsStream, headers);
      return;
    }
    const stream = streams.byId(streamId);
    if (stream?.isForwarded === true && !stream.isRequestDone) this.#trailers(stream, endsStream, headers);
    else if (headers.fields[0]?.name.startsWith(":") === true) {
      throw protocolError(`another request on stream ${streamId}, behind stream ${streams.lastId}`);
    }
  }

  #trailers(stream: Http2Stream, endsStream: boolean, headers: DecodedHeaders): void {
    try {
      if (!endsStream || headers.isTooLarge) {
        throw new Http2StreamError(ErrorCode.PROTOCOL_ERROR, "the trailers do not end the request");
      }
      checkTrailers(headers.fields);
    } catch (error) {
      if (!(error instanceof Http2StreamError)) throw error;
      stream.destroy();
      return;
    }
    const block = encodeFields(headers.fields);
    this.#link.toUpstream.insertHeaders(stream.upstreamId, true, block, 0, block.length);
    this.#link.requestDone(stream);
  }

  control(header: FrameHeader, payload: Buffer, start: number, end: number): void {
    const { toUpstream } = this.#link;
    switch (header.type) {
      case FrameType.RST_STREAM:
        this.#reset(header.streamId, payload.readUInt32BE(start));
        break;
      case FrameType.SETTINGS:
        if ((header.flags & Flag.ACK) !== 0) {
          const size = this.#tableSizes.shift();
          if (size !== undefined) this.#decoder.setMaxTableSize(size);
          toUpstream.insertFrame(header, payload, start, end);
        } else {
          const { values, frame } = settingsForUpstream(payload, start, end);
          toUpstream.open(frame);
          moveStreamWindows(
            this.#link,
            this.#link.flow.initialWindowSent(values.get(Setting.INITIAL_WINDOW_SIZE)),
          );
        }
        break;
      case FrameType.WINDOW_UPDATE:
        this.#windowUpdate(header.streamId, payload.readUInt32BE(start) & 0x7fffffff);
        break;
      case FrameType.PING:
      case FrameType.GOAWAY:
        toUpstream.insertFrame(header, payload, start, end);
        break;
    }
  }

  #reset(streamId: number, errorCode: number): void {
    this.#mustBeKnown(streamId);
    const stream = this.#link.streams.byId(streamId);
    if (stream === undefined) this.#link.unwanted(streamId);
    else {
      if (stream.isForwarded) this.#link.toUpstream.insert(rstStreamFrame(stream.upstreamId, errorCode));
      this.#link.forget(stream, false);
    }
    // What waited for room stood before what may have some.
    this.#link.windowOpened(undefined);
  }

  #windowUpdate(streamId: number, octets: number): void {
    const { flow, streams } = this.#link;
    if (octets === 0) throw protocolError("WINDOW_UPDATE by nothing");
    if (streamId === 0) {
      flow.extend(octets);
      tellOfConnectionWindow(this.#link);
      this.#link.windowOpened(undefined);
      return;
    }
    this.#mustBeKnown(streamId);
    const stream = streams.byId(streamId);
    if (stream === undefined) return;
    stream.window += octets;
    stream.withheld.add(octets, stream.window);
    tellOfStreamWindow(this.#link, stream);
    this.#link.windowOpened(stream);
  }

  #mustBeKnown(streamId: number): void {
    if (streamId > this.#link.streams.lastId)
      throw protocolError(`a frame of stream ${streamId}, which is idle`);
  }
}

function protocolError(what: string): Http2ConnectionError {
  return new Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, what);
}
