import { CtrlmeshError } from "#api/errors";
import {
  CR,
  isExactly,
  isSpelled,
  LF,
  RepeatedText,
  requestValueBytes,
  SP,
  targetBytes,
  tokenBytes,
} from "./characters.ts";
import {
  createFieldLine,
  type FieldLine,
  hasMember,
  isNamed,
  lengthOf,
  parseFieldLine,
  textOf,
} from "./field-line.ts";

/**
 * Most bytes of one request head. The API server (Go's net/http) takes 1 MiB and answers more with 431, so a
 * lower limit would refuse what works without us, and a higher one only costs memory.
 */
export const headLimitBytes = 1 << 20;

/** What is read of a request head. Everything else goes upstream as it came. */
export interface RequestHead {
  readonly method: string;
  /** Origin form: begins with "/". */
  readonly target: string;
  /** Offsets of the target, relative to the head's first byte. */
  readonly targetStart: number;
  readonly targetEnd: number;
  /** Bytes up to and with the blank line. */
  readonly length: number;
  /** Octets of the body; undefined without Content-Length. */
  readonly contentLength: number | undefined;
  readonly isChunked: boolean;
  /** Whether the client lets the connection live on after the response. */
  readonly keepsAlive: boolean;
  /** Value of Upgrade, when Connection names it too. */
  readonly upgrade: string | undefined;
  readonly expectsContinue: boolean;
  /** Value of the first Accept header. */
  readonly accept: string | undefined;
  readonly hasAuthorization: boolean;
}

/** RFC 9110 section 5.6.1, with empty members. Each turn of the loop begins with a comma, so it is linear. */
const tokenList = /^[\t ]*(?:[!#$%&'*+.^_`|~\w-]+[\t ]*)?(?:,[\t ]*(?:[!#$%&'*+.^_`|~\w-]+[\t ]*)?)*$/;

const malformed = (what: string): CtrlmeshError =>
  new CtrlmeshError("MALFORMED_REQUEST", { what, where: "request head" });

/**
 * Strict parser of HTTP/1.1 request heads (RFC 9112 sections 2 to 6), for one connection: what two parsers
 * could read in two ways is refused, since the API server behind us is the second parser.
 *
 * A head may arrive in any number of pieces: call `parse` again with the same first byte and more bytes behind
 * it. Each byte is looked at twice at most, however it is split.
 */
export class RequestHeadParser {
  readonly #line: FieldLine = createFieldLine();
  readonly #methods = new RepeatedText();
  readonly #accepts = new RepeatedText();
  #method = "";
  #target = "";
  #targetStart = 0;
  #targetEnd = 0;
  #isVersion10 = false;
  /** Offset of the line being read, and of the first byte that was not yet searched for its end. */
  #lineStart = 0;
  #searched = 0;
  #hasRequestLine = false;
  #contentLength: number | undefined;
  #isChunked = false;
  #hosts = 0;
  #connection: string | undefined;
  #upgrade: string | undefined;
  #expectsContinue = false;
  #accept: string | undefined;
  #hasAuthorization = false;

  /** Whether a head has begun: bytes were given to `parse` and no head came out of them yet. */
  get isInside(): boolean {
    return this.#searched > 0;
  }

  /**
   * Reads on in `bytes`, where the head begins at `start`.
   *
   * @returns the head once its blank line is there, else undefined. The parser is then ready for the next one.
   * @throws MALFORMED_REQUEST, REQUEST_HEAD_TOO_LARGE; the connection can't be read any further then
   */
  parse(bytes: Buffer, start: number): RequestHead | undefined {
    for (;;) {
      const end = bytes.indexOf(LF, start + this.#searched);
      if (end < 0) {
        this.#searched = bytes.length - start;
        this.#checkSize(this.#searched);
        return undefined;
      }
      const lineStart = start + this.#lineStart;
      this.#searched = this.#lineStart = end + 1 - start;
      this.#checkSize(this.#searched);
      if (end === lineStart || bytes[end - 1] !== CR) {
        throw malformed("a line ends with LF alone; it must end with CR LF");
      }
      if (!this.#hasRequestLine) this.#readRequestLine(bytes, lineStart, end - 1, start);
      else if (end - 1 === lineStart) return this.#finish();
      else this.#readField(bytes, lineStart, end - 1);
    }
  }

  #checkSize(size: number): void {
    if (size <= headLimitBytes) return;
    throw new CtrlmeshError("REQUEST_HEAD_TOO_LARGE", {
      what: `the request's head has more than ${headLimitBytes} bytes`,
      hint: "send fewer or shorter headers, or a shorter query",
    });
  }

  #readRequestLine(bytes: Buffer, start: number, end: number, headStart: number): void {
    let at = start;
    while (at < end && tokenBytes[bytes[at] ?? 0] === 1) at++;
    if (at === start || bytes[at] !== SP) throw malformed("the request line does not begin with a method");
    this.#method = this.#methods.read(bytes, start, at);
    const targetStart = ++at;
    while (at < end && targetBytes[bytes[at] ?? 0] === 1) at++;
    if (at === end || bytes[at] !== SP)
      throw malformed("the request target holds a byte that is not allowed");
    this.#target = bytes.toString("latin1", targetStart, at);
    this.#targetStart = targetStart - headStart;
    this.#targetEnd = at - headStart;
    this.#readVersion(bytes, at + 1, end);
    if (this.#method === "CONNECT" || !this.#target.startsWith("/")) {
      throw malformed("the request target is not a path; absolute and authority forms are not served");
    }
    this.#hasRequestLine = true;
  }

  #readVersion(bytes: Buffer, start: number, end: number): void {
    this.#isVersion10 = isExactly(bytes, start, end, "HTTP/1.0");
    if (this.#isVersion10 || isExactly(bytes, start, end, "HTTP/1.1")) return;
    throw malformed(
      isExactly(bytes, start, end, "HTTP/2.0")
        ? "the client speaks HTTP/2 without having agreed on it; this connection is HTTP/1.1"
        : "the request line does not end with HTTP/1.1 or HTTP/1.0",
    );
  }

  #readField(bytes: Buffer, start: number, end: number): void {
    const line = this.#line;
    const fault = parseFieldLine(bytes, start, end, requestValueBytes, line);
    if (fault !== undefined) throw malformed(fault);
    // The lengths of the names that matter; all others are skipped without being spelled out.
    switch (line.nameEnd - line.nameStart) {
      case 4:
        if (isNamed(bytes, line, "host")) this.#hosts++;
        break;
      case 6:
        if (isNamed(bytes, line, "accept"))
          this.#accept ??= this.#accepts.read(bytes, line.valueStart, line.valueEnd);
        else if (isNamed(bytes, line, "expect")) this.#readExpect(bytes);
        break;
      case 7:
        if (isNamed(bytes, line, "upgrade")) this.#upgrade = joined(this.#upgrade, textOf(bytes, line));
        break;
      case 10:
        if (isNamed(bytes, line, "connection")) this.#readConnection(textOf(bytes, line));
        break;
      case 13:
        if (isNamed(bytes, line, "authorization")) this.#hasAuthorization = true;
        break;
      case 14:
        if (isNamed(bytes, line, "content-length")) this.#readContentLength(bytes);
        break;
      case 17:
        if (isNamed(bytes, line, "transfer-encoding")) this.#readTransferEncoding(bytes);
        break;
    }
  }

  /** Go finds "close" behind any blank, others between commas only: what is no list is read in two ways. */
  #readConnection(value: string): void {
    if (!tokenList.test(value)) throw malformed("Connection is not a list of names");
    this.#connection = joined(this.#connection, value);
  }

  #readExpect(bytes: Buffer): void {
    const { valueStart, valueEnd } = this.#line;
    if (isSpelled(bytes, valueStart, valueEnd, "100-continue")) this.#expectsContinue = true;
  }

  #readContentLength(bytes: Buffer): void {
    if (this.#contentLength !== undefined) throw malformed("there are several Content-Length headers");
    this.#contentLength = lengthOf(bytes, this.#line);
    if (this.#contentLength === undefined) throw malformed("Content-Length is not a plain number of bytes");
  }

  #readTransferEncoding(bytes: Buffer): void {
    if (this.#isChunked) throw malformed("there are several Transfer-Encoding headers");
    const { valueStart, valueEnd } = this.#line;
    if (!isSpelled(bytes, valueStart, valueEnd, "chunked")) {
      throw malformed("Transfer-Encoding is something else than exactly chunked");
    }
    this.#isChunked = true;
  }

  #finish(): RequestHead {
    if (this.#isChunked && this.#contentLength !== undefined) {
      throw malformed("there are both Content-Length and Transfer-Encoding");
    }
    if (this.#isChunked && this.#isVersion10) throw malformed("Transfer-Encoding does not exist in HTTP/1.0");
    if (this.#hosts > 1) throw malformed("there are several Host headers");
    if (this.#hosts === 0 && !this.#isVersion10) throw malformed("there is no Host header");
    const head: RequestHead = {
      method: this.#method,
      target: this.#target,
      targetStart: this.#targetStart,
      targetEnd: this.#targetEnd,
      length: this.#lineStart,
      contentLength: this.#contentLength,
      isChunked: this.#isChunked,
      keepsAlive: keepsAlive(this.#connection, this.#isVersion10),
      upgrade: hasMember(this.#connection ?? "", "upgrade") ? this.#upgrade : undefined,
      expectsContinue: this.#expectsContinue,
      accept: this.#accept,
      hasAuthorization: this.#hasAuthorization,
    };
    this.#reset();
    return head;
  }

  #reset(): void {
    this.#lineStart = 0;
    this.#searched = 0;
    this.#hasRequestLine = false;
    this.#contentLength = undefined;
    this.#isChunked = false;
    this.#hosts = 0;
    this.#connection = undefined;
    this.#upgrade = undefined;
    this.#expectsContinue = false;
    this.#accept = undefined;
    this.#hasAuthorization = false;
  }
}

function joined(previous: string | undefined, value: string): string {
  return previous === undefined ? value : `${previous},${value}`;
}

/** RFC 9112 section 9.3. */
export function keepsAlive(connection: string | undefined, isVersion10: boolean): boolean {
  if (connection === undefined) return !isVersion10;
  if (hasMember(connection, "close")) return false;
  return !isVersion10 || hasMember(connection, "keep-alive");
}
