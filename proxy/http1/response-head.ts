import { CtrlmeshError } from "#api/errors";
import { CR, isExactly, isSpelled, LF, RepeatedText, responseValueBytes } from "./characters.ts";
import { createFieldLine, type FieldLine, isNamed, lengthOf, parseFieldLine, textOf } from "./field-line.ts";
import { keepsAlive } from "./head.ts";

/** Most bytes of one response head; Go's transport takes 1 MiB by default. */
const responseHeadLimitBytes = 1 << 20;

/** What is read of a response head. All of it goes to the client as it came. */
export interface ResponseHead {
  readonly status: number;
  /** Bytes up to and with the blank line. */
  readonly length: number;
  readonly contentLength: number | undefined;
  readonly isChunked: boolean;
  /** Whether the API server lets the connection live on after the response. */
  readonly keepsAlive: boolean;
  readonly contentType: string | undefined;
  /** gzip or the like; undefined and "identity" mean that the body can be read as it is. */
  readonly contentEncoding: string | undefined;
}

const malformed = (what: string): CtrlmeshError =>
  new CtrlmeshError("MALFORMED_RESPONSE", { what, where: "response head" });

/**
 * Parser of response heads (RFC 9112 section 4), for one connection. As strict as the one for requests in all
 * that decides where the response ends; a head may arrive in any number of pieces.
 */
export class ResponseHeadParser {
  readonly #line: FieldLine = createFieldLine();
  readonly #contentTypes = new RepeatedText();
  #lineStart = 0;
  #searched = 0;
  #hasStatusLine = false;
  #status = 0;
  #isVersion10 = false;
  #contentLength: number | undefined;
  #isChunked = false;
  #connection: string | undefined;
  #contentType: string | undefined;
  #contentEncoding: string | undefined;

  /**
   * Reads on in bytes[start, end), where the head begins at `start`.
   *
   * @returns the head once its blank line is there, else undefined
   * @throws MALFORMED_RESPONSE
   */
  parse(bytes: Buffer, start: number, end: number): ResponseHead | undefined {
    for (;;) {
      const lf = bytes.indexOf(LF, start + this.#searched);
      const isFound = lf >= 0 && lf < end;
      const lineStart = start + this.#lineStart;
      this.#searched = (isFound ? lf + 1 : end) - start;
      if (this.#searched > responseHeadLimitBytes) throw malformed("the response's head is too long");
      if (!isFound) return undefined;
      this.#lineStart = this.#searched;
      if (lf === lineStart || bytes[lf - 1] !== CR) throw malformed("a line ends with LF alone");
      if (!this.#hasStatusLine) this.#readStatusLine(bytes, lineStart, lf - 1);
      else if (lf - 1 === lineStart) return this.#finish();
      else this.#readField(bytes, lineStart, lf - 1);
    }
  }

  #readStatusLine(bytes: Buffer, start: number, end: number): void {
    const versionEnd = Math.min(end, start + 9);
    this.#isVersion10 = isExactly(bytes, start, versionEnd, "HTTP/1.0 ");
    if (!this.#isVersion10 && !isExactly(bytes, start, versionEnd, "HTTP/1.1 "))
      throw malformed("the status line is not HTTP/1.x");
    let status = 0;
    for (let at = start + 9; at < start + 12; at++) {
      const digit = at < end ? (bytes[at] ?? 0) - 48 : -1;
      if (digit < 0 || digit > 9) throw malformed("the status is not a number of three digits");
      status = status * 10 + digit;
    }
    const isTerminated = start + 12 === end || bytes[start + 12] === 32;
    if (!isTerminated || status < 100) throw malformed("the status is not a number of three digits");
    for (let at = start + 12; at < end; at++) {
      if (responseValueBytes[bytes[at] ?? 0] !== 1)
        throw malformed("the reason phrase holds a control character");
    }
    this.#status = status;
    this.#hasStatusLine = true;
  }

  #readField(bytes: Buffer, start: number, end: number): void {
    const line = this.#line;
    const fault = parseFieldLine(bytes, start, end, responseValueBytes, line);
    if (fault !== undefined) throw malformed(fault);
    switch (line.nameEnd - line.nameStart) {
      case 10:
        if (isNamed(bytes, line, "connection")) {
          const value = textOf(bytes, line);
          this.#connection = this.#connection === undefined ? value : `${this.#connection},${value}`;
        }
        break;
      case 12:
        if (isNamed(bytes, line, "content-type"))
          this.#contentType ??= this.#contentTypes.read(bytes, line.valueStart, line.valueEnd);
        break;
      case 14:
        if (isNamed(bytes, line, "content-length")) this.#readContentLength(bytes);
        break;
      case 16:
        if (isNamed(bytes, line, "content-encoding")) this.#contentEncoding ??= textOf(bytes, line);
        break;
      case 17:
        if (isNamed(bytes, line, "transfer-encoding")) this.#readTransferEncoding(bytes);
        break;
    }
  }

  #readContentLength(bytes: Buffer): void {
    if (this.#contentLength !== undefined) throw malformed("there are several Content-Length headers");
    this.#contentLength = lengthOf(bytes, this.#line);
    if (this.#contentLength === undefined) throw malformed("Content-Length is not a plain number of bytes");
  }

  #readTransferEncoding(bytes: Buffer): void {
    if (this.#isChunked) throw malformed("there are several Transfer-Encoding headers");
    if (!isSpelled(bytes, this.#line.valueStart, this.#line.valueEnd, "chunked")) {
      throw malformed("Transfer-Encoding is something else than exactly chunked");
    }
    this.#isChunked = true;
  }

  #finish(): ResponseHead {
    if (this.#isChunked && this.#contentLength !== undefined) {
      throw malformed("there are both Content-Length and Transfer-Encoding");
    }
    if (this.#isChunked && this.#isVersion10) throw malformed("Transfer-Encoding does not exist in HTTP/1.0");
    const head: ResponseHead = {
      status: this.#status,
      length: this.#lineStart,
      contentLength: this.#contentLength,
      isChunked: this.#isChunked,
      keepsAlive: keepsAlive(this.#connection, this.#isVersion10),
      contentType: this.#contentType,
      contentEncoding: this.#contentEncoding,
    };
    this.#lineStart = 0;
    this.#searched = 0;
    this.#hasStatusLine = false;
    this.#contentLength = undefined;
    this.#isChunked = false;
    this.#connection = undefined;
    this.#contentType = undefined;
    this.#contentEncoding = undefined;
    return head;
  }
}
