import type { TLSSocket } from "node:tls";
import type { ReadGate } from "./read-gate.ts";
import { type GatherBuffer, smallBytes, type WriteBatch } from "./write-batch.ts";

/** Copying fewer bytes than this byte by byte is cheaper than a call into native code. */
const smallCopyBytes = 64;
/** A queued write of fewer bytes is copied out of its gather buffer, so that a queue stays small. */
const compactBytes = 64 * 1024;
/** Most plaintext of one TLS record (RFC 8446 section 5.1), and so of one read. */
const recordBytes = 16 * 1024;
/** A read of as many bytes is one of many: an event or the end of an answer has fewer. */
const bulkReadBytes = 8 * 1024;

/**
 * The outgoing side of one socket. Bytes are copied in, so callers may reuse theirs at once, and leave at the
 * end of the turn. While the socket's queue is full the gate of the other side is held.
 *
 * What comes in bulk is not copied: the other side reads into the place behind what is gathered (`landing`), and
 * bytes that are put from there and belong there only move the end. One rule keeps them whole: whatever else is put
 * goes to another buffer, unless it stands in for bytes that were read out already (`consumedTo`).
 */
export class Outlet {
  readonly #socket: TLSSocket;
  readonly #batch: WriteBatch;
  readonly #source: ReadGate;
  /** What is gathered: target[start, end). */
  #target: GatherBuffer | undefined;
  #start = 0;
  #end = 0;
  #isConnected: boolean;
  /** Where the other side reads into. */
  #landing: GatherBuffer | undefined;
  /** While a read from there is being put: the offsets in it of the read and behind what was consumed of it. */
  #readStart = -1;
  #consumed = -1;

  /**
   * @param source the gate to hold while this socket can't take more
   * @param isConnected whether the TLS handshake is over; if not, call `connected` when it is
   */
  constructor(socket: TLSSocket, batch: WriteBatch, source: ReadGate, isConnected: boolean) {
    this.#socket = socket;
    this.#batch = batch;
    this.#source = source;
    this.#isConnected = isConnected;
    socket.on("drain", () => source.release("outlet full"));
  }

  connected(): void {
    this.#isConnected = true;
  }

  /** Bytes that the socket has not taken yet. */
  get queuedBytes(): number {
    return this.#socket.writableLength;
  }

  /**
   * Where the other side's next read may go, if it was reading in bulk: to the place behind what is gathered.
   *
   * @param previousBytes length of the read before
   * @returns undefined when it has to go elsewhere
   */
  landing(previousBytes: number): Buffer | undefined {
    const target = this.#target;
    const isBulk = previousBytes >= bulkReadBytes && target !== undefined;
    const room = target === undefined ? 0 : target.bytes.length - this.#end;
    if (!isBulk || room < recordBytes) {
      this.leaveLanding();
      return undefined;
    }
    if (this.#landing !== target) {
      this.leaveLanding();
      if (!this.#batch.beginLanding()) return undefined;
      this.#landing = target.hold();
    }
    return target.bytes.subarray(this.#end);
  }

  /** Nobody reads into the place that `landing` gave any more. */
  leaveLanding(): void {
    if (this.#landing === undefined) return;
    this.#landing.release();
    this.#landing = undefined;
    this.#batch.endLanding();
  }

  /** A read has come and is going to be put; what is put from it may stay where it is if it lies in `landing`. */
  beginRead(bytes: Buffer): void {
    const landing = this.#landing?.bytes;
    if (landing === undefined || landing.buffer !== bytes.buffer) return;
    this.#readStart = bytes.byteOffset - landing.byteOffset;
    this.#consumed = this.#readStart;
  }

  /** The read's first `offset` bytes were read out; what is put in their stead may go to their place. */
  consumedTo(offset: number): void {
    if (this.#readStart >= 0) this.#consumed = this.#readStart + offset;
  }

  endRead(): void {
    this.#readStart = -1;
    this.#consumed = -1;
  }

  /** Appends bytes[start, end). */
  put(bytes: Uint8Array, start: number, end: number): void {
    if (this.#readStart >= 0 && this.#putLanded(bytes, start, end)) return;
    let at = start;
    while (at < end) {
      const target = this.#gather(end - at);
      const count = Math.min(end - at, target.length - this.#end);
      if (count < smallCopyBytes) {
        for (let index = 0; index < count; index++) target[this.#end + index] = bytes[at + index] ?? 0;
      } else {
        target.set(bytes.subarray(at, at + count), this.#end);
      }
      this.#end += count;
      at += count;
      if (this.#end === target.length) this.flush();
    }
  }

  /** @returns whether the bytes lie in the landing, and are part of what is gathered there now */
  #putLanded(bytes: Uint8Array, start: number, end: number): boolean {
    const landing = this.#landing;
    if (landing === undefined || landing.bytes.buffer !== bytes.buffer) return false;
    const offset = bytes.byteOffset - landing.bytes.byteOffset + start;
    if (this.#target === undefined) {
      this.#target = landing.hold();
      this.#batch.schedule(this);
      this.#start = offset;
      this.#end = offset;
    } else if (this.#target !== landing) return false;
    // Something before them was dropped.
    if (offset !== this.#end) landing.bytes.copyWithin(this.#end, offset, offset + end - start);
    this.#end += end - start;
    if (this.#end === landing.bytes.length) this.flush();
    return true;
  }

  /** Appends a text of Latin-1 characters. */
  putText(text: string): void {
    const target = this.#gather(text.length);
    if (target.length - this.#end >= text.length) {
      this.#end += target.write(text, this.#end, "latin1");
      return;
    }
    const bytes = Buffer.from(text, "latin1");
    this.put(bytes, 0, bytes.length);
  }

  /** What is gathered into, with room for so many bytes if there can be. */
  #gather(bytes: number): Buffer {
    // Behind its end there may be what is still to be read out, or the other side may read into it at any time.
    if (this.#target !== undefined && this.#target === this.#landing && this.#end + bytes > this.#consumed) {
      this.flush();
    }
    const target = this.#target;
    if (target === undefined) {
      this.#start = 0;
      this.#end = 0;
      this.#batch.schedule(this);
      this.#target = this.#batch.borrow(bytes);
      return this.#target.bytes;
    }
    if (target.bytes.length > smallBytes || target.bytes.length - this.#end >= bytes) return target.bytes;
    const larger = this.#batch.borrow(this.#end + bytes);
    larger.bytes.set(target.bytes.subarray(0, this.#end));
    target.release();
    this.#target = larger;
    return larger.bytes;
  }

  /** Writes what was gathered; nothing when the socket is gone or was ended. */
  flush(): void {
    const target = this.#target;
    if (target === undefined) return;
    this.#target = undefined;
    const socket = this.#socket;
    const length = this.#end - this.#start;
    if (!socket.writable || length === 0) {
      target.release();
      return;
    }
    // A TLS socket that is connected and has nothing queued encrypts inside write(): the buffer is free again
    // when it returns. In any other state Node keeps a reference until later, and reuse would send bytes of
    // another request.
    const isTakenAtOnce = this.#isConnected && socket.writableLength === 0;
    const bytes = target.bytes.subarray(this.#start, this.#end);
    if (!isTakenAtOnce && length >= compactBytes) {
      // Not a new buffer for each: they are memory outside the heap, and V8 answers their growth with full
      // collections, which cost half as much CPU again as the bytes themselves.
      const hasRoom = socket.write(bytes, (error) => {
        if (error == null) target.release();
      });
      if (!hasRoom) this.#source.hold("outlet full");
      return;
    }
    const hasRoom = socket.write(isTakenAtOnce ? bytes : Buffer.from(bytes));
    target.release();
    if (!hasRoom) this.#source.hold("outlet full");
  }
}
