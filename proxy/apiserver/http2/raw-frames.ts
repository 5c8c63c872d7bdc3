import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:tls";
import {
  defaultInitialWindowSize,
  Flag,
  FrameType,
  frameHeaderBytes,
  maxFrameSize,
  preface,
} from "../../http2/constants.ts";
import { type FrameHeader, FrameReader, type FrameSink } from "../../http2/frame-reader.ts";
import {
  settingsAckFrame,
  settingsFrame,
  windowUpdateFrame,
  writeFrameHeader,
} from "../../http2/frame-writer.ts";
import { HpackDecoder } from "../../http2/hpack-decoder.ts";
import { encodeFields } from "../../http2/hpack-encoder.ts";
import { HeaderField } from "../../http2/hpack-field.ts";
import {
  createIdentity,
  eventually,
  type RawIdentity,
  RawPeer,
  RawUpstream,
} from "../../transport/raw-peers.ts";
import { Harness } from "../raw-harness.ts";
import type { ApiserverProxyOptions } from "../server.ts";

/** Both ends of the proxy as scripted HTTP/2 frames: for tests. */

const identity: Promise<RawIdentity> = createIdentity();

/** A frame as it came. */
export interface SeenFrame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
  /** Of HEADERS, CONTINUATION included. */
  readonly fields: Readonly<Record<string, string>> | undefined;
}

const typeNames = Object.entries(FrameType);

/** A frame in a form that reads well in a failed test: type, stream, flags and length or number. */
export function shown({ type, streamId, flags, payload, fields }: SeenFrame): string {
  const name = typeNames.find(([, value]) => value === type)?.[0] ?? `type ${type}`;
  const detail = fields?.[":status"] ?? fields?.[":path"] ?? detailOf(type, payload);
  return `${name} ${streamId} ${detail}${(flags & Flag.END_STREAM) !== 0 ? " end" : ""}`;
}

function detailOf(type: number, payload: Buffer): string {
  if (type === FrameType.RST_STREAM) return `code ${payload.readUInt32BE(0)}`;
  if (type === FrameType.WINDOW_UPDATE) return `+${payload.readUInt32BE(0)}`;
  if (type === FrameType.GOAWAY) return `last ${payload.readUInt32BE(0)} code ${payload.readUInt32BE(4)}`;
  return `${payload.length}`;
}

/** Frames of one side, as the other end of a raw connection reads them. */
export class FramePeer implements FrameSink {
  readonly peer: RawPeer;
  /** All frames that came. */
  readonly seen: SeenFrame[] = [];
  /** Called with each frame, before anybody who waits for it. */
  onFrame: ((frame: SeenFrame) => void) | undefined;
  readonly #waiting: SeenFrame[] = [];
  readonly #reader = new FrameReader({ maxFrameSize });
  readonly #decoder = new HpackDecoder({ maxTableSize: 65_536, maxListBytes: 1 << 24 });
  #skip: number;
  #header: FrameHeader = { length: 0, type: 0, flags: 0, streamId: 0 };
  #chunks: Buffer[] = [];
  #block: { readonly chunks: Buffer[]; readonly flags: number } | undefined;

  /** @param skipBytes what comes before the first frame: the preface, at a server */
  constructor(peer: RawPeer, skipBytes: number) {
    this.peer = peer;
    this.#skip = skipBytes;
    peer.socket.on("data", (bytes: Buffer) => this.#read(bytes));
    const early = Buffer.from(peer.received, "latin1");
    this.#read(early);
  }

  #read(bytes: Buffer): void {
    const skipped = Math.min(this.#skip, bytes.length);
    this.#skip -= skipped;
    this.#reader.push(bytes.subarray(skipped), this);
  }

  header(header: Readonly<FrameHeader>): void {
    this.#header = { ...header };
    this.#chunks = [];
  }

  payload(bytes: Buffer, start: number, end: number, isLast: boolean): void {
    this.#chunks.push(Buffer.from(bytes.subarray(start, end)));
    if (isLast) this.#frame(this.#header, Buffer.concat(this.#chunks));
  }

  #frame({ type, flags, streamId }: FrameHeader, payload: Buffer): void {
    if (type !== FrameType.HEADERS && type !== FrameType.CONTINUATION) {
      this.#add({ type, flags, streamId, payload, fields: undefined });
      return;
    }
    this.#block ??= { chunks: [], flags };
    this.#block.chunks.push(payload);
    if ((flags & Flag.END_HEADERS) === 0) return;
    const block = Buffer.concat(this.#block.chunks);
    const decoded = this.#decoder.decode(block, 0, block.length).fields;
    const fields = Object.fromEntries(decoded.map(({ name, value }) => [name, value]));
    this.#add({ type: FrameType.HEADERS, flags: this.#block.flags, streamId, payload: block, fields });
    this.#block = undefined;
  }

  #add(frame: SeenFrame): void {
    this.seen.push(frame);
    this.#waiting.push(frame);
    this.onFrame?.(frame);
  }

  send(...frames: readonly Buffer[]): void {
    this.peer.send(Buffer.concat(frames));
  }

  /** Takes the first frame of this type that nobody took, on this stream if one is named. */
  async next(type: number, streamId?: number): Promise<SeenFrame> {
    const index = () =>
      this.#waiting.findIndex(
        (frame) => frame.type === type && (streamId === undefined || frame.streamId === streamId),
      );
    const name = typeNames.find(([, value]) => value === type)?.[0];
    try {
      await eventually(() => index() >= 0, `${name} on ${streamId ?? "any stream"}`);
    } catch (error) {
      throw new Error(`${String(error)}; there were: ${this.log.slice(-30).join(", ")}`, { cause: error });
    }
    const [frame] = this.#waiting.splice(index(), 1);
    assert.ok(frame);
    return frame;
  }

  /** Everything that came so far, `shown`. */
  get log(): readonly string[] {
    return this.seen.map(shown);
  }

  /** Content of the DATA frames of a stream so far. */
  contentOf(streamId: number): string {
    return Buffer.concat(
      this.seen
        .filter((frame) => frame.type === FrameType.DATA && frame.streamId === streamId)
        .map(({ payload }) => payload),
    ).toString("latin1");
  }
}

type Fields = Readonly<Record<string, string>>;

/** The block of a header list; pseudo fields first, as they are given. */
export function blockOf(fields: Fields): Buffer {
  return Buffer.from(
    encodeFields(Object.entries(fields).map(([name, value]) => new HeaderField(name, value))),
  );
}

/** One frame of any kind. */
export function frameOf(
  type: number,
  flags: number,
  streamId: number,
  payload: Uint8Array | string = "",
): Buffer {
  const bytes = typeof payload === "string" ? Buffer.from(payload, "latin1") : payload;
  const frame = Buffer.alloc(frameHeaderBytes + bytes.length);
  writeFrameHeader(frame, 0, bytes.length, type, flags, streamId);
  frame.set(bytes, frameHeaderBytes);
  return frame;
}

/** A request's HEADERS with all that has to be there. */
export function requestFrame(streamId: number, fields: Fields = {}, endStream = true): Buffer {
  const all = { ":method": "GET", ":scheme": "https", ":path": "/version", ":authority": "api", ...fields };
  return headersFrame(streamId, all, endStream);
}

export function headersFrame(streamId: number, fields: Fields, endStream = false): Buffer {
  const flags = Flag.END_HEADERS | (endStream ? Flag.END_STREAM : 0);
  return frameOf(FrameType.HEADERS, flags, streamId, blockOf(fields));
}

export function dataFrame(streamId: number, content: Uint8Array | string, endStream = false): Buffer {
  return frameOf(FrameType.DATA, endStream ? Flag.END_STREAM : 0, streamId, content);
}

/** Settings of both ends, as pairs. */
export interface RawOptions {
  readonly clientSettings?: readonly (readonly [number, number])[];
  readonly upstreamSettings?: readonly (readonly [number, number])[];
}

type Changes = NonNullable<Parameters<typeof Harness.start>[0]>;

/** The proxy between two scripted ends of HTTP/2. */
export class RawFrames implements AsyncDisposable {
  readonly inner: Harness;
  readonly server: RawUpstream;
  readonly #clients: RawPeer[] = [];

  private constructor(inner: Harness, server: RawUpstream) {
    this.inner = inner;
    this.server = server;
  }

  static async start(changes: Changes = {}): Promise<RawFrames> {
    const parts = await identity;
    const server = await RawUpstream.start(parts, ["h2", "http/1.1"]);
    const upstream: ApiserverProxyOptions["upstream"] = {
      host: "127.0.0.1",
      port: server.port,
      servername: "127.0.0.1",
      ca: () => parts.caPem,
    };
    const inner = await Harness.start({ upstream, http2: true, ...changes });
    return new RawFrames(inner, server);
  }

  /** A client connection with nothing sent on it yet. */
  async dial(): Promise<FramePeer> {
    const options = {
      host: "127.0.0.1",
      port: this.inner.proxy.address.port,
      ca: this.inner.identity.caPem,
      ALPNProtocols: ["h2"],
      allowHalfOpen: true,
    };
    const socket = connect(options);
    const peer = new RawPeer(socket);
    this.#clients.push(peer);
    await once(socket, "secureConnect");
    socket.setNoDelay(true);
    assert.equal(socket.alpnProtocol, "h2");
    return new FramePeer(peer, 0);
  }

  /** The next connection to the API server that is not a mere question for its protocol. */
  async accept(): Promise<FramePeer> {
    for (;;) {
      const peer = await this.server.accept();
      await peer.until(() => peer.receivedBytes > 0 || peer.hasEnded || peer.isClosed, "bytes or an end");
      if (peer.receivedBytes === 0) continue;
      return new FramePeer(peer, preface.length);
    }
  }

  /** A connection on both sides, settings exchanged. */
  async connect({ clientSettings = [], upstreamSettings = [] }: RawOptions = {}): Promise<{
    readonly client: FramePeer;
    readonly upstream: FramePeer;
  }> {
    const client = await this.dial();
    client.send(preface, settingsFrame(clientSettings));
    const upstream = await this.accept();
    await upstream.next(FrameType.SETTINGS);
    upstream.send(settingsFrame(upstreamSettings), settingsAckFrame());
    await client.next(FrameType.SETTINGS);
    await client.next(FrameType.SETTINGS);
    client.send(settingsAckFrame());
    await upstream.next(FrameType.SETTINGS);
    return { client, upstream };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.socket.destroy();
    await this.inner[Symbol.asyncDispose]();
    await this.server[Symbol.asyncDispose]();
  }
}

/** Holds a client's connection window against what comes: one octet too much fails the test. */
export class WindowWatch {
  left = defaultInitialWindowSize;
  isOverrun = false;
  readonly #client: FramePeer;

  constructor(client: FramePeer) {
    this.#client = client;
    client.onFrame = ({ type, payload }) => {
      if (type !== FrameType.DATA) return;
      this.left -= payload.length;
      if (this.left < 0) this.isOverrun = true;
    };
  }

  /** The client takes more. */
  give(octets: number): void {
    this.left += octets;
    this.#client.send(windowUpdateFrame(0, octets));
  }
}

/** A PING to the other side and back: all that was sent before it has been dealt with. */
export async function settled(from: FramePeer, to: FramePeer): Promise<void> {
  const mark = Buffer.alloc(8, pings++ % 251);
  from.send(frameOf(FrameType.PING, 0, 0, mark));
  await to.next(FrameType.PING);
  to.send(frameOf(FrameType.PING, Flag.ACK, 0, mark));
  await from.next(FrameType.PING);
}

let pings = 0;
