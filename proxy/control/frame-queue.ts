import type { TLSSocket } from "node:tls";
import { defaultMaxFrameSize, ErrorCode } from "../http2/constants.ts";
import { Http2ConnectionError } from "../http2/errors.ts";
import { dataFrames } from "../http2/frame-writer.ts";
import type { SendWindow } from "./send-window.ts";

/** Answers that a server may ask for without reading any. One read brings 4,000 PINGs at most, 17 octets each. */
const answersLimitBytes = 256 * 1024;

/**
 * What goes to the server: frames about the connection at once, content as the server's windows have room. Nothing
 * is handed to a socket that is full, so that what waits is counted here.
 */
export class FrameQueue {
  /** The server's SETTINGS_MAX_FRAME_SIZE. */
  maxFrameSize: number = defaultMaxFrameSize;
  readonly #socket: TLSSocket;
  readonly #window: SendWindow;
  readonly #streamId: number;
  #frames: Buffer[] = [];
  #framesBytes = 0;
  #content: Uint8Array[] = [];
  #contentBytes = 0;
  #isOpen = false;

  constructor(socket: TLSSocket, window: SendWindow, streamId: number) {
    this.#socket = socket;
    this.#window = window;
    this.#streamId = streamId;
    socket.on("drain", () => this.flush());
  }

  /** Octets of content, and of all else, that the socket has not taken. */
  get unsentBytes(): number {
    return this.#contentBytes + this.#framesBytes + this.#socket.writableLength;
  }

  /** Whether the request is on its way. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Sends what has to stand before all other frames; until then nothing goes out. */
  open(first: Buffer): void {
    this.#isOpen = true;
    this.#frames.unshift(first);
    this.#framesBytes += first.length;
    this.flush();
  }

  /**
   * Queues a frame about the connection, for the next `flush`.
   *
   * @throws Http2ConnectionError ENHANCE_YOUR_CALM: the server asks and asks and does not read
   */
  put(frame: Buffer): void {
    this.#frames.push(frame);
    this.#framesBytes += frame.length;
    if (this.#framesBytes > answersLimitBytes)
      throw new Http2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "the server reads no answers");
  }

  /** Queues content of the stream, for the next `flush`. */
  putContent(content: Uint8Array): void {
    if (content.length === 0) return;
    this.#content.push(content);
    this.#contentBytes += content.length;
  }

  /** Sends what may be sent now, in one write. */
  flush(): void {
    const socket = this.#socket;
    if (!this.#isOpen || !socket.writable || socket.writableNeedDrain) return;
    const content = this.#takeContent();
    if (content !== undefined) this.#frames.push(content);
    if (this.#frames.length === 0) return;
    const frames = this.#frames;
    this.#frames = [];
    this.#framesBytes = 0;
    socket.write(frames.length === 1 && frames[0] !== undefined ? frames[0] : Buffer.concat(frames));
  }

  /** As much content as the windows allow, in frames. */
  #takeContent(): Buffer | undefined {
    const octets = Math.min(this.#contentBytes, this.#window.available);
    if (octets === 0) return undefined;
    const whole = this.#content.length === 1 ? this.#content[0] : Buffer.concat(this.#content);
    if (whole === undefined) return undefined;
    this.#content = octets === whole.length ? [] : [whole.subarray(octets)];
    this.#contentBytes -= octets;
    this.#window.spend(octets);
    const split = { endStream: false, maxFrameSize: this.maxFrameSize };
    return dataFrames(this.#streamId, whole.subarray(0, octets), split);
  }
}
