/**
 * What breaks HTTP/2, with the code that the peer is told (`ErrorCode` in constants.ts). These stay inside
 * `proxy/http2`: the codec does not know whether it reads a client or a server, so the connection, which does,
 * turns them into MALFORMED_REQUEST or MALFORMED_RESPONSE.
 */

/** The connection can't be read any further (RFC 9113 section 5.4.1). */
export class Http2ConnectionError extends Error {
  readonly errorCode: number;

  constructor(errorCode: number, what: string) {
    super(what);
    this.name = "Http2ConnectionError";
    this.errorCode = errorCode;
  }
}

/** One stream is wrong, the connection lives on (RFC 9113 section 5.4.2). */
export class Http2StreamError extends Error {
  readonly errorCode: number;

  constructor(errorCode: number, what: string) {
    super(what);
    this.name = "Http2StreamError";
    this.errorCode = errorCode;
  }
}
