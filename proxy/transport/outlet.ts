import type { TLSSocket } from "node:tls";
import type { ReadGate } from "./read-gate.ts";
import { smallBytes, type WriteBatch } from "./write-batch.ts";

/** Copying fewer bytes than this byte by byte is cheaper than a call into native code. */
const smallCopyBytes = 64;
/** A queued write of fewer bytes is copied out of its gather buffer, so that a queue stays small. */
const compactBytes = 64 * 1024;

/**
 * The outgoing side of one socket. Bytes are copied in, so callers may reuse theirs at once, and leave at the
 * end of the turn. While the socket's queue is full the gate of the other side is held.
 */
export class Outlet {
  readonly #socket: TLSSocket;
  readonly #batch: WriteBatch;
  readonly #source: ReadGate;
  #gathered: Buffer | undefined;
  #length = 0;
  #isConnected: boolean;

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

  /** Appends bytes[start, end). */
  put(bytes: Uint8Array, start: number, end: number): void {
    let at = start;
    while (at < end) {
      const target = this.#gather(end - at);
      const count = Math.min(end - at, target.length - this.#length);
      if (count < smallCopyBytes) {
        for (let index = 0; index < count; index++) target[this.#length + index] = bytes[at + index] ?? 0;
      } else {
        target.set(bytes.subarray(at, at + count), this.#length);
      }
      this.#length += count;
      at += count;
      if (this.#length === target.length) this.flush();
    }
  }

  /** Appends a text of Latin-1 characters. */
  putText(text: string): void {
    const target = this.#gather(text.length);
    if (target.length - this.#length >= text.length) {
      this.#length += target.write(text, this.#length, "latin1");
      return;
    }
    const bytes = Buffer.from(text, "latin1");
    this.put(bytes, 0, bytes.length);
  }

  /** What is gathered into, with room for so many bytes if there can be. */
  #gather(bytes: number): Buffer {
    const gathered = this.#gathered;
    if (gathered === undefined) {
      this.#length = 0;
      this.#batch.schedule(this);
      this.#gathered = this.#batch.borrow(bytes);
      return this.#gathered;
    }
    if (gathered.length > smallBytes || gathered.length - this.#length >= bytes) return gathered;
    const larger = this.#batch.borrow(this.#length + bytes);
    larger.set(gathered.subarray(0, this.#length));
    this.#batch.giveBack(gathered);
    this.#gathered = larger;
    return larger;
  }

  /** Writes what was gathered; nothing when the socket is gone or was ended. */
  flush(): void {
    const gathered = this.#gathered;
    if (gathered === undefined) return;
    this.#gathered = undefined;
    const socket = this.#socket;
    if (!socket.writable || this.#length === 0) {
      this.#batch.giveBack(gathered);
      return;
    }
    // A TLS socket that is connected and has nothing queued encrypts inside write(): the buffer is free again
    // when it returns. In any other state Node keeps a reference until later, and reuse would send bytes of
    // another request.
    const isTakenAtOnce = this.#isConnected && socket.writableLength === 0;
    const bytes = gathered.subarray(0, this.#length);
    if (!isTakenAtOnce && this.#length >= compactBytes) {
      // Not a new buffer for each: they are memory outside the heap, and V8 answers their growth with full
      // collections, which cost half as much CPU again as the bytes themselves.
      const hasRoom = socket.write(bytes, (error) => {
        if (error == null) this.#batch.giveBack(gathered);
      });
      if (!hasRoom) this.#source.hold("outlet full");
      return;
    }
    const hasRoom = socket.write(isTakenAtOnce ? bytes : Buffer.from(bytes));
    this.#batch.giveBack(gathered);
    if (!hasRoom) this.#source.hold("outlet full");
  }
}
