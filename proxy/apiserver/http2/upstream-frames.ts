import { ErrorCode, Flag, FrameType } from "../../http2/constants.ts";
import { Http2ConnectionError } from "../../http2/errors.ts";
import type { FrameListener } from "../../http2/frame-assembly.ts";
import type { FrameHeader } from "../../http2/frame-reader.ts";
import { rstStreamFrame, windowUpdateFrame } from "../../http2/frame-writer.ts";
import { settingsForClient } from "../../http2/settings.ts";
import { AnswerHeads } from "./answer-head.ts";
import {
  giveBack,
  type Link,
  moveStreamWindows,
  tellOfConnectionWindow,
  tellOfStreamWindow,
} from "./link.ts";
import type { Http2Stream } from "./stream.ts";

/** Is told of what concerns the whole connection, or a watch. */
export interface AnswerListener {
  settingsSent(values: ReadonlyMap<number, number>): void;
  /** A watch that is to end stands behind a whole DATA frame, or behind the head of its answer. */
  watchPaused(stream: Http2Stream): void;
  /** The API server takes no streams beyond this number of its own. */
  goAway(lastUpstreamId: number, errorCode: number, debug: Buffer): void;
}

/** A server that only says it will go away soon names no stream (RFC 9113 section 6.8). */
export const goAwaySoon = 2 ** 31 - 1;

/**
 * Frames from the API server. They go to the client under its own numbers of the streams and otherwise as they came;
 * what belongs to a stream that the client no longer has goes nowhere.
 */
export class UpstreamFrames implements FrameListener {
  readonly #link: Link;
  readonly #listener: AnswerListener;
  readonly #heads = new AnswerHeads();
  /** Stream of the DATA frame that is being read; undefined: it goes nowhere. */
  #target: Http2Stream | undefined;
  #isPadded = false;
  #endsStream = false;
  #droppedOctets = 0;

  constructor(link: Link, listener: AnswerListener) {
    this.#link = link;
    this.#listener = listener;
  }

  /** Whether a DATA frame of this stream has begun and not ended. */
  isInside(stream: Http2Stream): boolean {
    return this.#target === stream;
  }

  dataBegins({ streamId, length, flags }: FrameHeader): void {
    const { streams, toClient, flow } = this.#link;
    const stream = streams.byUpstreamId(streamId);
    this.#target = stream;
    this.#endsStream = (flags & Flag.END_STREAM) !== 0;
    this.#isPadded = (flags & Flag.PADDED) !== 0;
    if (stream === undefined) {
      this.#droppedOctets = length;
      return;
    }
    flow.window -= length;
    stream.window -= length;
    tellOfConnectionWindow(this.#link);
    tellOfStreamWindow(this.#link, stream);
    toClient.beginData(length, flags, stream.id);
  }

  dataPiece(bytes: Buffer, start: number, end: number, isLast: boolean): void {
    const stream = this.#target;
    if (stream === undefined) {
      if (isLast) giveBack(this.#link.toUpstream, this.#droppedOctets);
      return;
    }
    const exchange = stream.exchange;
    // Padding is not content; nobody pads watches, so such a one is just not followed any more.
    if (exchange?.wantsContent === true && end > start) {
      if (this.#isPadded) exchange.unfollow();
      else exchange.responseContent(bytes, start, end);
    }
    this.#link.toClient.pass(bytes, start, end, isLast);
    if (!isLast) return;
    this.#target = undefined;
    if (this.#endsStream) this.#responseDone(stream);
    else if (exchange?.watchEnd !== undefined) this.#listener.watchPaused(stream);
  }

  headerBlock(streamId: number, endsStream: boolean, block: Buffer, start: number, end: number): void {
    const stream = this.#link.streams.byUpstreamId(streamId);
    if (stream === undefined) return;
    if (!stream.hasResponse) this.#readHead(stream, block, start, end);
    this.#link.toClient.insertHeaders(stream.id, endsStream, block, start, end);
    if (endsStream) this.#responseDone(stream);
    else if (stream.exchange?.watchEnd !== undefined) this.#listener.watchPaused(stream);
  }

  #readHead(stream: Http2Stream, block: Buffer, start: number, end: number): void {
    const { exchange } = stream;
    if (exchange === undefined) return;
    const status = this.#heads.statusOf(block, start, end);
    if (status === undefined) throw protocolError("the head of an answer does not begin with a status");
    if (status < 200) return;
    stream.hasResponse = true;
    const head = exchange.isWatch ? this.#heads.headOf(block, start, end) : undefined;
    exchange.answered(
      head ?? { status, contentType: undefined, contentEncoding: undefined, isStreamed: true },
    );
  }

  #responseDone(stream: Http2Stream): void {
    stream.isResponseDone = true;
    this.#link.answerDone(stream);
  }

  control(header: FrameHeader, payload: Buffer, start: number, end: number): void {
    const { toClient, streams } = this.#link;
    switch (header.type) {
      case FrameType.RST_STREAM: {
        const stream = streams.byUpstreamId(header.streamId);
        if (stream === undefined) return;
        toClient.insert(rstStreamFrame(stream.id, payload.readUInt32BE(start)));
        this.#link.forget(stream, false);
        break;
      }
      case FrameType.SETTINGS:
        if ((header.flags & Flag.ACK) !== 0) {
          toClient.insertFrame(header, payload, start, end);
          // A smaller table has to be agreed to by the next block, and the API server's went to another stream or none.
          toClient.resetHeaderTable();
          moveStreamWindows(this.#link, this.#link.flow.settingsAcked());
        } else {
          const { values, frame } = settingsForClient(payload, start, end);
          toClient.open(frame);
          this.#listener.settingsSent(values);
        }
        break;
      case FrameType.PING:
        toClient.insertFrame(header, payload, start, end);
        break;
      case FrameType.WINDOW_UPDATE: {
        const octets = payload.readUInt32BE(start) & 0x7fffffff;
        const stream = header.streamId === 0 ? undefined : streams.byUpstreamId(header.streamId);
        if (header.streamId !== 0 && stream === undefined) return;
        toClient.insert(windowUpdateFrame(stream?.id ?? 0, octets));
        break;
      }
      case FrameType.GOAWAY:
        this.#listener.goAway(
          payload.readUInt32BE(start) & 0x7fffffff,
          payload.readUInt32BE(start + 4),
          payload.subarray(start + 8, end),
        );
        break;
    }
  }
}

function protocolError(what: string): Http2ConnectionError {
  return new Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, what);
}
