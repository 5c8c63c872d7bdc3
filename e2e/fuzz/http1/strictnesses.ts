import type { KnownDifference } from "./known.ts";

const post = "POST / HTTP/1.1\r\nHost: a\r\n";
const chunkedPost = `${post}Transfer-Encoding: chunked\r\n\r\n`;
const ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n";
const chunkedOk = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/**
 * What a reference refuses and we take. The bytes go on untouched, so Go behind us refuses them itself; nothing
 * here moves the end of a message.
 */
export const strictnesses: readonly KnownDifference[] = [
  {
    id: "unknown methods",
    refusal: /HPE_INVALID_METHOD/,
    reason: "llhttp has a list of methods; the API server answers unknown ones itself",
    examples: [["requests", "llhttp", "FROB / HTTP/1.1\r\nHost: a\r\n\r\n"]],
  },
  {
    id: "malformed Host",
    refusal: /malformed Host header/,
    reason: "whom the client meant to reach decides nothing here",
    examples: [["requests", "go", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"]],
  },
  {
    id: "other expectations",
    refusal: /^417/,
    reason: "the API server answers 417 itself",
    examples: [["requests", "go", `${post}Expect: x\r\n\r\n`]],
  },
  {
    id: "targets that are no URL",
    refusal:
      /invalid URL escape|invalid URI|parse "|invalid userinfo|invalid host|invalid port|first path segment/,
    reason:
      "limited requests with such a target are refused by the pipeline; others are the API server's to answer",
    examples: [["requests", "go", "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n"]],
  },
  {
    id: "trailers that may not be announced",
    refusal: /bad trailer key/,
    reason: "the header Trailer decides nothing",
    examples: [
      ["requests", "go", `${post}Transfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n0\r\n\r\n`],
      [
        "responses",
        "go",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n0\r\n\r\n",
      ],
    ],
  },
  {
    id: "framing headers in trailers",
    refusal: /Content-Length can't be present with Transfer-Encoding|HPE_INVALID_TRANSFER_ENCODING/,
    reason: "RFC 9110 section 6.5.1: ignored there, as Go does; llhttp reads trailers as headers",
    examples: [
      ["requests", "llhttp", `${chunkedPost}0\r\nContent-Length: 5\r\n\r\n`],
      ["requests", "llhttp", `${chunkedPost}0\r\nTransfer-Encoding: x\r\n\r\n`],
      ["responses", "llhttp", `${chunkedOk}0\r\nContent-Length: 5\r\n\r\n`],
      ["responses", "llhttp", `${chunkedOk}0\r\nTransfer-Encoding: \r\n\r\n`],
    ],
  },
  {
    id: "odd chunk extensions",
    refusal: /HPE_STRICT Invalid character in chunk extensions/,
    reason: "extensions are skipped, as Go does; they hold no control character, so they can't end a line",
    examples: [
      ["requests", "llhttp", `${chunkedPost}1; a = b\r\nx\r\n0\r\n\r\n`],
      ["responses", "llhttp", `${chunkedOk}1; a = b\r\nx\r\n0\r\n\r\n`],
    ],
  },
  {
    id: "long chunk lines and trailers",
    refusal:
      /chunked encoding contains too much non-data|unexpected EOF reading trailer|HPE_CHUNK_EXTENSIONS_OVERFLOW/,
    reason: "Go's limits on what is no content are lower than ours in places",
    examples: [["requests", "go", `${chunkedPost}${`1;${"x".repeat(4000)}\r\ny\r\n`.repeat(6)}0\r\n\r\n`]],
  },
  {
    id: "control characters in headers of responses",
    refusal: /malformed MIME header line: "[!-~]+:|Invalid header value char/,
    reason: "they pass untouched; only NUL, CR and LF could move the end of the head",
    examples: [
      ["responses", "go", `${ok}X: \v\r\n\r\n`],
      ["responses", "llhttp", `${ok}X: \v\r\n\r\n`],
    ],
  },
  {
    id: "ends of the connection that only llhttp sees",
    refusal: /HPE_CLOSED_CONNECTION/,
    reason:
      "it takes an informational response of HTTP/1.0 for the last one, and Proxy-Connection for Connection",
    examples: [
      ["responses", "llhttp", "HTTP/1.0 103 x\r\n\r\nHTTP/1.1 204 x\r\n\r\n"],
      ["requests", "llhttp", `${chunkedPost}0\r\nProxy-Connection: close\r\n\r\n${post}\r\n`],
    ],
  },
  {
    id: "errors behind an upgrade",
    refusal: /HPE_PAUSED_UPGRADE/,
    reason: "the binding does not tell what was wrong behind a request for an upgrade",
    examples: [
      [
        "requests",
        "llhttp",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nFROB / HTTP/1.1\r\nHost: a\r\n\r\n",
      ],
    ],
  },
];
