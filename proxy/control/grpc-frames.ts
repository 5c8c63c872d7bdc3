import { CtrlmeshError } from "#api/errors";

/** Messages of the control stream are small; a snapshot of thousands of namespaces has some 100 KiB. */
export const messageLimitBytes = 8 * 1024 * 1024;

const prefixBytes = 5;

/** One message with its prefix: compression flag 0 and big-endian length (gRPC over HTTP/2, "Length-Prefixed-Message"). */
export function frameOf(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(prefixBytes + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, prefixBytes);
  return frame;
}

/** Puts messages together from chunks cut anywhere. */
export class FrameReader {
  #chunks: Buffer[] = [];
  #bufferedBytes = 0;

  /**
   * Messages that are whole with this chunk.
   *
   * @throws PROTOCOL_VIOLATION for a compressed message (none was offered) or one above the limit, at its prefix.
   */
  push(chunk: Buffer): Buffer[] {
    this.#chunks.push(chunk);
    this.#bufferedBytes += chunk.length;
    const messages: Buffer[] = [];
    for (;;) {
      const message = this.#take();
      if (message === undefined) return messages;
      messages.push(message);
    }
  }

  /** Whether a message has begun and is not whole. */
  get isInsideMessage(): boolean {
    return this.#bufferedBytes > 0;
  }

  #take(): Buffer | undefined {
    if (this.#bufferedBytes < prefixBytes) return undefined;
    if ((this.#chunks[0]?.length ?? 0) < prefixBytes) this.#chunks = [Buffer.concat(this.#chunks)];
    const first = this.#chunks[0] ?? Buffer.alloc(0);
    if (first[0] !== 0) {
      throw new CtrlmeshError("PROTOCOL_VIOLATION", {
        what: `compression flag ${first[0]} on an uncompressed stream`,
      });
    }
    const lengthBytes = first.readUInt32BE(1);
    if (lengthBytes > messageLimitBytes) {
      throw new CtrlmeshError("PROTOCOL_VIOLATION", {
        what: `a message of ${lengthBytes} bytes, more than ${messageLimitBytes}`,
      });
    }
    const wholeBytes = prefixBytes + lengthBytes;
    if (this.#bufferedBytes < wholeBytes) return undefined;
    const whole = this.#chunks.length === 1 ? first : Buffer.concat(this.#chunks);
    this.#bufferedBytes -= wholeBytes;
    this.#chunks = this.#bufferedBytes === 0 ? [] : [whole.subarray(wholeBytes)];
    return whole.subarray(prefixBytes, wholeBytes);
  }
}
