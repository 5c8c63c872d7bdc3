import type { TLSSocket } from "node:tls";
import type { Clock } from "#runtime/clock";
import {
  defaultInitialWindowSize,
  defaultMaxFrameSize,
  ErrorCode,
  FrameType,
  frameHeaderBytes,
  preface,
  Setting,
} from "../http2/constants.ts";
import { Http2ConnectionError } from "../http2/errors.ts";
import { FrameAssembly } from "../http2/frame-assembly.ts";
import { FrameReader } from "../http2/frame-reader.ts";
import {
  goAwayFrame,
  headersFrames,
  pingAckFrame,
  rstStreamFrame,
  settingsAckFrame,
  settingsFrame,
  windowUpdateFrame,
  writeFrameHeader,
} from "../http2/frame-writer.ts";
import { encodeFields } from "../http2/hpack-encoder.ts";
import type { HeaderField } from "../http2/hpack-field.ts";
import { FrameQueue } from "./frame-queue.ts";
import { type Fields, maxListBytes, ResponseFrames } from "./response-frames.ts";
import { SendWindow } from "./send-window.ts";

/** Is told what the server does; of nothing any more once the stream is over, but `closed`. */
export interface Http2StreamListener {
  /** The server's first SETTINGS are here: it speaks HTTP/2. */
  opened(): void;
  /** The final head of the answer. */
  head(fields: Fields): void;
  content(bytes: Buffer): void;
  trailers(fields: Fields): void;
  /** The server ended its side in order. */
  ended(): void;
  pingAnswered(): void;
  /** The connection or the stream failed in any other way. */
  failed(error: Error): void;
  /** The connection is gone. Always comes, once, and nothing after it. */
  closed(): void;
}

interface Http2StreamOptions {
  /** A TLS connection that is being made with ALPN "h2"; becomes the stream's. */
  readonly socket: TLSSocket;
  /** Pseudo fields first. Sent only after the server's certificate was accepted. */
  readonly fields: readonly HeaderField[];
  readonly clock: Clock;
  readonly listener: Http2StreamListener;
}

const streamId = 1;
/** Time for the last frames to leave. */
const closeLimitMs = 1_000;
/**
 * What the server may send before it hears from us, on the stream and on the connection. Content is consumed as it
 * comes, so that this bounds what is on its way and not how large a message may be.
 */
const receiveWindowBytes = 1024 * 1024;
const pingPayload = Buffer.from("ctrlmesh");
const errorNames = new Map<number, string>(Object.entries(ErrorCode).map(([name, code]) => [code, name]));

/**
 * One request on an HTTP/2 connection of its own (RFC 9113), with both directions open until the server ends its
 * side. In place of `node:http2`, which would cost a proxy that serves HTTP/2 without it 4 MiB for this one stream.
 */
export class Http2Stream {
  readonly #socket: TLSSocket;
  readonly #clock: Clock;
  readonly #listener: Http2StreamListener;
  readonly #window = new SendWindow();
  readonly #queue: FrameQueue;
  readonly #reader = new FrameReader({ maxFrameSize: defaultMaxFrameSize });
  readonly #assembly: FrameAssembly;
  /** Octets that came and that the server does not know to be consumed. */
  #consumedBytes = 0;
  #isOpen = false;
  #isOver = false;

  constructor({ socket, fields, clock, listener }: Http2StreamOptions) {
    this.#socket = socket;
    this.#clock = clock;
    this.#listener = listener;
    this.#queue = new FrameQueue(socket, this.#window, streamId);
    this.#assembly = new FrameAssembly(this.#responseFrames());
    socket.setNoDelay(true);
    socket.once("secureConnect", () => this.#start(fields));
    socket.on("data", (bytes: Buffer) => this.#read(bytes));
    socket.on("error", (error) => this.#fail(error));
    socket.once("end", () => this.#fail(new Error("the connection was closed")));
    socket.once("close", () => {
      this.#fail(new Error("the connection was closed"));
      listener.closed();
    });
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Octets that were given to `send` or are answers, and that the socket has not taken. */
  get unsentBytes(): number {
    return this.#queue.unsentBytes;
  }

  /** Queues content; it goes out as the server's windows have room. Nothing happens once the stream is over. */
  send(content: Uint8Array): void {
    if (this.#isOver) return;
    this.#queue.putContent(content);
    this.#queue.flush();
  }

  /** Asks the server for a sign of life. One question at a time. */
  ping(): void {
    if (this.#isOver) return;
    const frame = Buffer.alloc(frameHeaderBytes + pingPayload.length);
    writeFrameHeader(frame, 0, pingPayload.length, FrameType.PING, 0, 0);
    frame.set(pingPayload, frameHeaderBytes);
    this.#putAndFlush(frame);
  }

  /** Ends stream and connection. */
  close(): void {
    this.#end(ErrorCode.NO_ERROR, "");
  }

  #start(fields: readonly HeaderField[]): void {
    if (this.#isOver) return;
    if (this.#socket.alpnProtocol !== "h2") {
      this.#fail(new Error("the server does not speak HTTP/2"));
      return;
    }
    const settings = settingsFrame([
      [Setting.HEADER_TABLE_SIZE, 0],
      [Setting.ENABLE_PUSH, 0],
      [Setting.INITIAL_WINDOW_SIZE, receiveWindowBytes],
      [Setting.MAX_HEADER_LIST_SIZE, maxListBytes],
    ]);
    const window = windowUpdateFrame(0, receiveWindowBytes - defaultInitialWindowSize);
    const split = { endStream: false, maxFrameSize: defaultMaxFrameSize };
    const request = headersFrames(streamId, encodeFields(fields), split);
    this.#queue.open(Buffer.concat([preface, settings, window, request]));
  }

  #read(bytes: Buffer): void {
    if (this.#isOver) return;
    try {
      this.#reader.push(bytes, this.#assembly);
      this.#queue.flush();
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #responseFrames(): ResponseFrames {
    const listener = this.#listener;
    // Whoever is told something may close the stream; what the same read still has is then of no interest.
    const unlessOver =
      <Given extends unknown[]>(tell: (...given: Given) => void) =>
      (...given: Given): void => {
        if (!this.#isOver) tell(...given);
      };
    return new ResponseFrames(streamId, {
      settings: unlessOver((entries) => this.#apply(entries)),
      head: unlessOver((fields) => listener.head(fields)),
      content: unlessOver((bytes) => listener.content(bytes)),
      dataEnds: unlessOver((octets) => this.#giveBack(octets)),
      trailers: unlessOver((fields) => listener.trailers(fields)),
      end: unlessOver(() => listener.ended()),
      reset: unlessOver((errorCode) => this.#reset(errorCode)),
      goAway: unlessOver((lastStreamId, errorCode) => this.#goAway(lastStreamId, errorCode)),
      ping: unlessOver((payload) => this.#queue.put(pingAckFrame(payload))),
      pingAnswer: unlessOver((payload) => {
        if (payload.equals(pingPayload)) listener.pingAnswered();
      }),
      windowUpdate: unlessOver((which, octets) => this.#window.extend(which, octets)),
    });
  }

  #apply(entries: readonly (readonly [id: number, value: number])[]): void {
    for (const [id, value] of entries) {
      if (id === Setting.INITIAL_WINDOW_SIZE) this.#window.setInitialStream(value);
      else if (id === Setting.MAX_FRAME_SIZE) this.#queue.maxFrameSize = value;
    }
    this.#queue.put(settingsAckFrame());
    if (this.#isOpen) return;
    this.#isOpen = true;
    this.#listener.opened();
  }

  /** There is one stream, and what came is consumed: both windows are alike, and never used up when this is called. */
  #giveBack(octets: number): void {
    this.#consumedBytes += octets;
    if (this.#consumedBytes < receiveWindowBytes / 2) return;
    this.#queue.put(windowUpdateFrame(0, this.#consumedBytes));
    this.#queue.put(windowUpdateFrame(streamId, this.#consumedBytes));
    this.#consumedBytes = 0;
  }

  #reset(errorCode: number): void {
    const isQuiet = errorCode === ErrorCode.NO_ERROR || errorCode === ErrorCode.CANCEL;
    if (isQuiet) this.#listener.ended();
    else this.#fail(new Error(`the server reset the stream with ${nameOf(errorCode)}`));
  }

  /** A server that goes away in order finishes the streams that it knows of. */
  #goAway(lastStreamId: number, errorCode: number): void {
    if (errorCode !== ErrorCode.NO_ERROR)
      this.#fail(new Error(`the server sent GOAWAY with ${nameOf(errorCode)}`));
    else if (lastStreamId < streamId)
      this.#fail(new Error("the server goes away and takes no stream any more"));
  }

  #putAndFlush(frame: Buffer): void {
    try {
      this.#queue.put(frame);
      this.#queue.flush();
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #fail(error: Error): void {
    if (this.#isOver) return;
    const isViolation = error instanceof Http2ConnectionError;
    this.#end(isViolation ? error.errorCode : ErrorCode.NO_ERROR, isViolation ? error.message : "");
    this.#listener.failed(error);
  }

  /** The server hears why. One that takes nothing in any more is not waited for. */
  #end(errorCode: number, debug: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const socket = this.#socket;
    if (!this.#queue.isOpen || !socket.writable || socket.writableNeedDrain) {
      socket.destroy();
      return;
    }
    const limit = this.#clock.timer(closeLimitMs, () => socket.destroy());
    socket.once("close", () => limit[Symbol.dispose]());
    socket.end(Buffer.concat([rstStreamFrame(streamId, ErrorCode.CANCEL), goAwayFrame(0, errorCode, debug)]));
    socket.destroySoon();
  }
}

function nameOf(errorCode: number): string {
  return errorNames.get(errorCode) ?? `code ${errorCode}`;
}
