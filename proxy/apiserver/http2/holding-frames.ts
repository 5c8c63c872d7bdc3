import { Flag, FrameType } from "../../http2/constants.ts";
import type { FrameHeader, FrameSink } from "../../http2/frame-reader.ts";
import type { ReadGate } from "../../transport/read-gate.ts";
import type { ClientFlow } from "./flow.ts";

/** Octets that are kept before the API server is read no further. It never sends many more than the proxy used up. */
const keptLimitBytes = 256 * 1024;
/** Receivers of what is held look at the header alone. */
const noRaw = Buffer.alloc(0);

/** A frame that waits; what is still to come of it is only ever missing from the last one. */
interface HeldFrame {
  readonly type: number;
  readonly streamId: number;
  readonly flags: number;
  /** Octets of the payload, without what went on already. */
  length: number;
  readonly pieces: Buffer[];
  /** Octets in the pieces. */
  kept: number;
}

/**
 * Stands between the API server's frames and who passes them on, and holds DATA for which the client has no room,
 * since the proxy used some of it for answers of its own. Up to there the client gets all it has room for: one that
 * gives nothing back before its window is used up has to see it used up. Whatever else comes goes on, but for the
 * frames of a stream behind its content.
 */
export class HoldingFrames implements FrameSink {
  readonly #next: FrameSink;
  readonly #flow: ClientFlow;
  readonly #gate: ReadGate;
  readonly #isWanted: (streamId: number) => boolean;
  readonly #held: HeldFrame[] = [];
  #keptBytes = 0;
  /** Where the frame that is being read goes. */
  #isHolding = false;
  /** Whether such a frame went on in part. */
  #isInside = false;

  /** @param isWanted whether content of this stream goes to the client, or is dropped and so needs no room */
  constructor(next: FrameSink, flow: ClientFlow, gate: ReadGate, isWanted: (streamId: number) => boolean) {
    this.#next = next;
    this.#flow = flow;
    this.#gate = gate;
    this.#isWanted = isWanted;
  }

  get areWaiting(): boolean {
    return this.#held.length > 0;
  }

  header(header: Readonly<FrameHeader>, raw: Buffer): void {
    this.#isHolding = this.#mustHold(header);
    if (this.#isHolding) {
      const { type, streamId, flags, length } = header;
      this.#held.push({ type, streamId, flags, length, pieces: [], kept: 0 });
    } else {
      this.#isInside = true;
      this.#next.header(header, raw);
    }
  }

  #mustHold({ type, length, streamId }: Readonly<FrameHeader>): boolean {
    if (this.#held.length === 0) {
      return type === FrameType.DATA && this.#flow.mustHold(length) && this.#isWanted(streamId);
    }
    if (type === FrameType.DATA) return true;
    const belongsToStream =
      type === FrameType.HEADERS || type === FrameType.CONTINUATION || type === FrameType.RST_STREAM;
    return belongsToStream && this.#held.some((frame) => frame.streamId === streamId);
  }

  payload(bytes: Buffer, start: number, end: number, isLast: boolean): void {
    if (this.#isHolding) {
      const frame = this.#held.at(-1);
      frame?.pieces.push(Buffer.from(bytes.subarray(start, end)));
      if (frame !== undefined) frame.kept += end - start;
      this.#keptBytes += end - start;
    } else {
      if (isLast) this.#isInside = false;
      this.#next.payload(bytes, start, end, isLast);
      if (this.#held.length === 0) return;
    }
    this.resume();
    if (this.#keptBytes > keptLimitBytes) this.#gate.hold("window full");
  }

  /** Goes on with what is held, up to where the client has no room again. */
  resume(): void {
    while (!this.#isInside) {
      const frame = this.#held[0];
      if (frame === undefined || !this.#release(frame)) break;
    }
    if (this.#keptBytes <= keptLimitBytes) this.#gate.release("window full");
  }

  /** @returns whether the frame is gone */
  #release(frame: HeldFrame): boolean {
    const { type, flags, streamId, length } = frame;
    if (type === FrameType.DATA && this.#flow.mustHold(length) && this.#isWanted(streamId)) {
      // Padding can't be divided; nobody sends any.
      const room = (flags & Flag.PADDED) !== 0 ? 0 : Math.min(this.#flow.window, frame.kept);
      if (room > 0) this.#pass(frame, room, flags & ~Flag.END_STREAM);
      return false;
    }
    this.#held.shift();
    const isWhole = frame.kept === length;
    // The rest comes from whoever reads the connection.
    if (!isWhole) this.#isHolding = false;
    this.#pass(frame, length, flags);
    return true;
  }

  /** Passes up to `length` octets on, under a header of their own. */
  #pass(frame: HeldFrame, length: number, flags: number): void {
    const { type, streamId, pieces } = frame;
    this.#isInside = true;
    this.#next.header({ type, flags, streamId, length }, noRaw);
    let left = length;
    // A frame without payload has one empty piece.
    for (let piece = pieces.shift(); piece !== undefined; piece = pieces.shift()) {
      const count = Math.min(left, piece.length);
      left -= count;
      if (count < piece.length) pieces.unshift(piece.subarray(count));
      frame.length -= count;
      frame.kept -= count;
      this.#keptBytes -= count;
      if (left === 0) this.#isInside = false;
      this.#next.payload(piece, 0, count, left === 0);
      if (left === 0) break;
    }
  }
}
