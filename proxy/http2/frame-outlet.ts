import type { Outlet } from "../transport/outlet.ts";
import { defaultMaxFrameSize, Flag, FrameType, frameHeaderBytes } from "./constants.ts";
import type { FrameHeader } from "./frame-reader.ts";
import { writeFrameHeader } from "./frame-writer.ts";

/** Octets of a HEADERS or CONTINUATION frame of ours: what every receiver takes (RFC 9113 section 4.2). */
const fragmentBytes = defaultMaxFrameSize;
/** Begins a header block: the receiver's dynamic table is to hold nothing (RFC 7541 section 6.3). */
const sizeUpdateToZero = Buffer.of(0x20);
/** The outlet copies, so one for all. */
const scratch = Buffer.alloc(frameHeaderBytes);

/**
 * The frames of one direction: DATA that passes through piece by piece, and whole frames, which wait for the place
 * between two others.
 */
export class FrameOutlet {
  readonly #outlet: () => Outlet;
  /** Whole frames that wait. */
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #isInside = false;
  #isOpen = false;
  #owesSizeUpdate = false;

  /** @param outlet asked for at the first frame; until `open` gives it, all others wait */
  constructor(outlet: () => Outlet) {
    this.#outlet = outlet;
  }

  /** Whether a frame that passes through is not complete. */
  get isInside(): boolean {
    return this.#isInside;
  }

  /** Whether the frame that has to be the first has gone out. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** The frame that has to be the first; then all that waits. */
  open(first: Buffer): void {
    if (this.#isOpen) {
      this.insert(first);
      return;
    }
    this.#isOpen = true;
    this.#outlet().put(first, 0, first.length);
    this.#flush();
  }

  /** Begins a DATA frame whose payload follows by `pass`. */
  beginData(length: number, flags: number, streamId: number): void {
    writeFrameHeader(scratch, 0, length, FrameType.DATA, flags, streamId);
    this.#outlet().put(scratch, 0, frameHeaderBytes);
    this.#isInside = true;
  }

  /** Puts bytes[start, end) of the frame that was begun. */
  pass(bytes: Buffer, start: number, end: number, isLast: boolean): void {
    if (end > start) this.#outlet().put(bytes, start, end);
    if (!isLast) return;
    this.#isInside = false;
    this.#flush();
  }

  /** Puts a whole frame at the next place where one may stand; it is kept if it has to wait. */
  insert(frame: Buffer): void {
    if (this.#isInside || !this.#isOpen) this.#wait(frame);
    else this.#outlet().put(frame, 0, frame.length);
  }

  /** Puts a frame as it came: payload[start, end) under a header of the same type, flags and stream. */
  insertFrame(
    { type, flags, streamId }: Readonly<FrameHeader>,
    payload: Buffer,
    start: number,
    end: number,
  ): void {
    const frame = Buffer.allocUnsafe(frameHeaderBytes + end - start);
    writeFrameHeader(frame, 0, end - start, type, flags, streamId);
    payload.copy(frame, frameHeaderBytes, start, end);
    this.insert(frame);
  }

  /**
   * The next header block begins by emptying the receiver's dynamic table, which no block here makes use of. Who made
   * its table smaller waits for that (RFC 7541 section 4.2).
   */
  resetHeaderTable(): void {
    this.#owesSizeUpdate = true;
  }

  /** Puts a header block as one HEADERS frame and as many CONTINUATION frames as it takes. */
  insertHeaders(streamId: number, endsStream: boolean, block: Buffer, start: number, end: number): void {
    if (this.#owesSizeUpdate) {
      this.#owesSizeUpdate = false;
      const whole = Buffer.concat([sizeUpdateToZero, block.subarray(start, end)]);
      this.insertHeaders(streamId, endsStream, whole, 0, whole.length);
      return;
    }
    const waits = this.#isInside || !this.#isOpen;
    let at = start;
    do {
      const next = Math.min(end, at + fragmentBytes);
      const flags =
        (at === start && endsStream ? Flag.END_STREAM : 0) | (next === end ? Flag.END_HEADERS : 0);
      const type = at === start ? FrameType.HEADERS : FrameType.CONTINUATION;
      if (waits) {
        const frame = Buffer.allocUnsafe(frameHeaderBytes + next - at);
        writeFrameHeader(frame, 0, next - at, type, flags, streamId);
        block.copy(frame, frameHeaderBytes, at, next);
        this.#wait(frame);
      } else {
        writeFrameHeader(scratch, 0, next - at, type, flags, streamId);
        this.#outlet().put(scratch, 0, frameHeaderBytes);
        this.#outlet().put(block, at, next);
      }
      at = next;
    } while (at < end);
  }

  #wait(frame: Buffer): void {
    this.#waiting.push(frame);
    this.#waitingBytes += frame.length;
  }

  #flush(): void {
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    for (const frame of waiting) this.#outlet().put(frame, 0, frame.length);
  }
}
