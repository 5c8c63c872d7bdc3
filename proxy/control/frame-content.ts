import { ErrorCode, Flag } from "../http2/constants.ts";
import { Http2ConnectionError } from "../http2/errors.ts";

/** Finds the content of a DATA frame inside its payload, which comes in pieces (RFC 9113 section 6.1). */
export class FrameContent {
  #length = 0;
  /** Octets of content that have not come; undefined while the octet that says how much is padding has not. */
  #left: number | undefined;

  /**
   * A frame with a payload of `length` octets begins.
   *
   * @throws Http2ConnectionError FRAME_SIZE_ERROR
   */
  begin(length: number, flags: number): void {
    this.#length = length;
    this.#left = (flags & Flag.PADDED) === 0 ? length : undefined;
    if (this.#left === undefined && length === 0)
      throw new Http2ConnectionError(
        ErrorCode.FRAME_SIZE_ERROR,
        "a padded frame without the padding's length",
      );
  }

  /**
   * @returns the content in bytes[start, end), the next piece of the payload; undefined when there is none
   * @throws Http2ConnectionError PROTOCOL_ERROR
   */
  piece(bytes: Buffer, start: number, end: number): Buffer | undefined {
    if (start === end) return undefined;
    let first = start;
    if (this.#left === undefined) {
      this.#left = this.#length - 1 - (bytes[first++] ?? 0);
      if (this.#left < 0)
        throw new Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "padding that is longer than its frame");
    }
    const behind = Math.min(end, first + this.#left);
    this.#left -= behind - first;
    return behind === first ? undefined : bytes.subarray(first, behind);
  }
}
