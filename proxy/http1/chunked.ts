import { CR, HTAB, hexDigit, LF, requestValueBytes, SEMICOLON } from "./characters.ts";
import { createFieldLine, parseFieldLine } from "./field-line.ts";

/** Most bytes of one chunk's size line, extensions included; Go's reader takes 4096 as well. */
const sizeLineLimitBytes = 4096;
/** Most bytes of all trailer lines of one body. */
const trailerLimitBytes = 64 * 1024;
/** Hexadecimal digits of a chunk size that stays below 2^53. */
const sizeDigitLimit = 13;

/** Called with the content of chunks, in order: bytes[start, end). */
export type ContentListener = (bytes: Buffer, start: number, end: number) => void;

type State = "size" | "extension" | "size-lf" | "content" | "content-cr" | "content-lf" | "trailer" | "done";

/**
 * Follows a chunked body (RFC 9112 section 7.1) through any split of its bytes, without changing one. Strict:
 * every line ends with CR LF, a size has 1 to 13 hexadecimal digits and nothing but `;extension` behind it,
 * trailers are well-formed field lines.
 */
export class ChunkedBody {
  readonly #line = createFieldLine();
  #state: State = "size";
  #digits = 0;
  #lineLength = 0;
  #remaining = 0;
  #trailerLength = 0;
  #trailer: number[] = [];

  get isDone(): boolean {
    return this.#state === "done";
  }

  /** Whether the next byte begins a chunk: between two chunks, or before the first one. */
  get isBetweenChunks(): boolean {
    return this.#state === "size" && this.#digits === 0;
  }

  /** Makes it ready for the next body. */
  reset(): void {
    this.#state = "size";
    this.#digits = 0;
    this.#lineLength = 0;
    this.#remaining = 0;
    this.#trailerLength = 0;
    this.#trailer = [];
  }

  /**
   * Takes bytes[start, end) up to the end of the body, or up to the first place between two chunks when
   * `stopBetweenChunks` is set.
   *
   * @returns the offset behind the last byte taken, or what is wrong with the bytes
   */
  take(
    bytes: Buffer,
    start: number,
    end: number,
    listener?: ContentListener,
    stopBetweenChunks = false,
  ): number | string {
    let at = start;
    while (at < end && this.#state !== "done") {
      if (this.#state === "content") {
        const stop = Math.min(end, at + this.#remaining);
        this.#remaining -= stop - at;
        listener?.(bytes, at, stop);
        at = stop;
        if (this.#remaining === 0) this.#state = "content-cr";
        continue;
      }
      const fault = this.#step(bytes[at++] ?? 0);
      if (fault !== undefined) return fault;
      if (stopBetweenChunks && this.isBetweenChunks) return at;
    }
    return at;
  }

  #step(byte: number): string | undefined {
    switch (this.#state) {
      case "size":
        return this.#readSize(byte);
      case "extension":
        return this.#readExtension(byte);
      case "size-lf":
        if (byte !== LF) return "a chunk's size line does not end with CR LF";
        return this.#finishSize();
      case "content-cr":
        if (byte !== CR) return "a chunk is longer than its size";
        this.#state = "content-lf";
        return undefined;
      case "content-lf":
        if (byte !== LF) return "a chunk does not end with CR LF";
        this.#state = "size";
        return undefined;
      case "trailer":
        return this.#readTrailer(byte);
      case "content":
      case "done":
        return undefined;
    }
  }

  #readSize(byte: number): string | undefined {
    const digit = hexDigit(byte);
    if (digit >= 0) {
      if (++this.#digits > sizeDigitLimit) return "a chunk's size is too large";
      this.#remaining = this.#remaining * 16 + digit;
      return undefined;
    }
    if (this.#digits === 0) return "a chunk has no size";
    if (byte === CR) this.#state = "size-lf";
    else if (byte === SEMICOLON) this.#state = "extension";
    else return "a chunk's size is not a hexadecimal number";
    this.#lineLength = this.#digits;
    return undefined;
  }

  #readExtension(byte: number): string | undefined {
    if (++this.#lineLength > sizeLineLimitBytes) return "a chunk's extension is too long";
    if (byte === CR) this.#state = "size-lf";
    else if (byte !== HTAB && requestValueBytes[byte] !== 1) {
      return "a chunk's extension holds a control character";
    }
    return undefined;
  }

  #finishSize(): undefined {
    this.#digits = 0;
    this.#state = this.#remaining === 0 ? "trailer" : "content";
    return undefined;
  }

  #readTrailer(byte: number): string | undefined {
    if (++this.#trailerLength > trailerLimitBytes) return "the trailers are too long";
    if (byte !== LF) {
      this.#trailer.push(byte);
      return undefined;
    }
    const length = this.#trailer.length - 1;
    if (this.#trailer[length] !== CR) return "a trailer line ends with LF alone";
    if (length === 0) {
      this.#state = "done";
      return undefined;
    }
    const line = Buffer.from(this.#trailer);
    this.#trailer = [];
    return parseFieldLine(line, 0, length, requestValueBytes, this.#line);
  }
}
