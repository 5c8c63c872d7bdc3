import type { KnownDifference } from "./known.ts";

const post = "POST / HTTP/1.1\r\nHost: a\r\n";
const ok = "HTTP/1.1 200 OK\r\n";
const chunkedOk = `${ok}Transfer-Encoding: chunked\r\n\r\n`;
const chunkedPost = `${post}Transfer-Encoding: chunked\r\n\r\n`;

/** What a reference takes and we refuse. No client of Kubernetes and no API server sends any of it. */
export const leniencies: readonly KnownDifference[] = [
  {
    id: "LF alone as a line's end",
    refusal: /LF alone/,
    reason: "RFC 9112 section 2.2 allows it and not all do: the oldest way to hide a header or a request",
    examples: [
      ["requests", "go", "GET / HTTP/1.1\nHost: a\n\n"],
      ["requests", "llhttp", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"],
      ["requests", "go", `${chunkedPost}0\r\nA: b\nC: d\r\n\r\n`],
      ["responses", "go", "HTTP/1.1 204 x\nA: b\n\n"],
      ["responses", "llhttp", "\nHTTP/1.1 204 x\r\n\r\n"],
      ["responses", "go", `${chunkedOk}0\r\nA: b\nC: d\r\n\r\n`],
    ],
  },
  {
    id: "bytes before the method",
    refusal: /does not begin with a method/,
    reason:
      "blank lines before a request may be skipped (RFC 9112 section 2.2); we know none that sends them",
    examples: [
      ["requests", "llhttp", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"],
      ["requests", "go", `${post}\r\n\r\n\r\n${post}\r\n`.replace("\r\n\r\n\r\n\r\n", "\r\n\r\n\r\n")],
    ],
  },
  {
    id: "folded lines",
    refusal: /obsolete line folding/,
    reason:
      "RFC 9112 section 5.2 lets a server refuse them; Go joins them, llhttp ends trailers at a blank one",
    examples: [
      ["requests", "go", `${post}X: a\r\n b\r\n\r\n`],
      ["requests", "go", `${chunkedPost}0\r\nA: b\r\n c\r\n\r\n`],
      ["responses", "go", "HTTP/1.1 204 x\r\nX: a\r\n b\r\n\r\n"],
      ["responses", "go", `${chunkedOk}0\r\nA: b\r\n c\r\n\r\n`],
      [
        "responses",
        "llhttp",
        "HTTP/1.1 200\r\nTransfer-Encoding:chunked\t\r\nConnection:Close\r\n\r\n0\r\ni:\r\n \r\n",
      ],
    ],
  },
  {
    id: "a Connection that is no list of names",
    refusal: /Connection is not a list of names/,
    reason: "Go finds close behind any blank, llhttp between commas: they differ about the next request",
    examples: [
      ["requests", "go", `${post}Connection: : close\r\n\r\n`],
      ["requests", "llhttp", `${post}Connection: a close\r\n\r\n`],
    ],
  },
  {
    id: "a blank before the colon",
    refusal: /blank between a header's name and its colon/,
    reason: "RFC 9112 section 5.1: must be refused in requests and removed in responses; we remove nothing",
    examples: [
      ["requests", "go", `${chunkedPost}0\r\nA : b\r\n\r\n`],
      ["responses", "go", "HTTP/1.1 204 x\r\nX : a\r\n\r\n"],
      ["responses", "go", `${chunkedOk}0\r\nA : b\r\n\r\n`],
    ],
  },
  {
    id: "other versions",
    refusal: /does not end with HTTP\/1.1 or HTTP\/1.0|speaks HTTP\/2 without|status line is not HTTP\/1.x/,
    reason: "nobody who speaks another version means HTTP/1.1 framing",
    examples: [
      ["requests", "go", "GET / HTTP/1.2\r\nHost: a\r\n\r\n"],
      ["requests", "llhttp", "SOURCE / ICE/1.0\r\n\r\n"],
      ["requests", "llhttp", "GET / HTTP/2.0\r\nHost: a\r\n\r\n"],
      ["requests", "go", "PRI * HTTP/2.0\r\nHost: a\r\n\r\n"],
      ["responses", "go", "HTTP/1.2 204 x\r\n\r\n"],
      ["responses", "llhttp", "HTTP/2.0 204 x\r\n\r\n"],
    ],
  },
  {
    id: "odd targets",
    refusal: /request target/,
    reason:
      "fragments, raw bytes, HTTP/0.9, absolute, authority and asterisk forms: the rules are decided on the path, which must be there and be read in one way",
    examples: [
      ["requests", "go", "GET /\xe4 HTTP/1.1\r\nHost: a\r\n\r\n"],
      ["requests", "llhttp", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"],
      ["requests", "go", "GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n"],
      ["requests", "llhttp", "GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n"],
    ],
  },
  {
    id: "Host missing or given twice",
    refusal: /there is no Host header|several Host headers/,
    reason: "RFC 9112 section 3.2 has servers refuse both; llhttp leaves that to node:http",
    examples: [
      ["requests", "llhttp", "GET / HTTP/1.1\r\n\r\n"],
      ["requests", "llhttp", `${post}Host: b\r\n\r\n`],
    ],
  },
  {
    id: "two ways to find the body's end",
    refusal: /both Content-Length and Transfer-Encoding|several Content-Length|several Transfer-Encoding/,
    reason: "RFC 9112 section 6.3: who forwards such a message may be part of a smuggling",
    examples: [
      ["requests", "go", `${post}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
      ["requests", "go", `${post}Content-Length: 0\r\nContent-Length: 0\r\n\r\n`],
      ["responses", "go", `${ok}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
      ["responses", "llhttp", `${ok}Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\nx`],
    ],
  },
  {
    id: "other transfer codings",
    refusal: /something else than exactly chunked|Transfer-Encoding does not exist in HTTP\/1.0/,
    reason: "RFC 9112 section 6.1; codings before chunked are read by nobody here",
    examples: [
      ["requests", "llhttp", `${post}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`],
      ["requests", "go", "POST / HTTP/1.0\r\nTransfer-Encoding: gzip\r\n\r\n"],
      ["requests", "llhttp", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
      ["responses", "llhttp", `${ok}Transfer-Encoding: gzip\r\n\r\nx`],
      ["responses", "go", "HTTP/1.0 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx"],
      ["responses", "llhttp", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    ],
  },
  {
    id: "lengths of 16 digits and more",
    refusal: /not a plain number of bytes/,
    reason: "15 digits are a petabyte, and JavaScript counts them without rounding",
    examples: [
      ["requests", "go", `${post}Content-Length: 1000000000000000\r\n\r\n`],
      ["requests", "llhttp", `${post}Content-Length: 1000000000000000\r\n\r\n`],
      ["responses", "go", `${ok}Content-Length: 1000000000000000\r\n\r\n`],
      ["responses", "llhttp", `${ok}Content-Length: 1000000000000000\r\n\r\n`],
    ],
  },
  {
    id: "odd status lines",
    refusal: /status is not a number of three digits|reason phrase holds a control character/,
    reason: "the status decides whether there is a body, so it is read in one way or not at all",
    examples: [
      ["responses", "go", "HTTP/1.1  204 x\r\n\r\n"],
      ["responses", "llhttp", "HTTP/1.1 099 x\r\nContent-Length: 0\r\n\r\n"],
      ["responses", "go", "HTTP/1.1 204 a\rb\r\n\r\n"],
      ["responses", "llhttp", "HTTP/1.1 204 a\0b\r\n\r\n"],
    ],
  },
  {
    id: "blanks behind a chunk's size",
    refusal: /chunk's size is not a hexadecimal number/,
    reason: "Go trims them (bad whitespace, RFC 9112 section 7.1.1); llhttp refuses them as we do",
    examples: [
      ["requests", "go", `${chunkedPost}1 \r\nx\r\n0\r\n\r\n`],
      ["responses", "go", `${chunkedOk}1 \r\nx\r\n0\r\n\r\n`],
    ],
  },
  {
    id: "chunk sizes of 14 digits and more",
    refusal: /chunk's size is too large/,
    reason: "13 digits are four petabytes, and JavaScript counts them without rounding",
    examples: [
      ["requests", "go", `${chunkedPost}00000000000001\r\nx\r\n0\r\n\r\n`],
      ["requests", "llhttp", `${chunkedPost}00000000000001\r\nx\r\n0\r\n\r\n`],
      ["responses", "go", `${chunkedOk}00000000000001\r\nx\r\n0\r\n\r\n`],
      ["responses", "llhttp", `${chunkedOk}00000000000001\r\nx\r\n0\r\n\r\n`],
    ],
  },
  {
    id: "control characters in chunk extensions",
    refusal: /a chunk's extension holds a control character/,
    reason: "Go skips extensions unread; llhttp refuses these as we do",
    examples: [
      ["requests", "go", `${chunkedPost}1;\0\r\nx\r\n0\r\n\r\n`],
      ["responses", "go", `${chunkedOk}1;\0\r\nx\r\n0\r\n\r\n`],
    ],
  },
  {
    id: "101 unasked",
    refusal: /switched protocols unasked/,
    reason: "a parser does not know what was asked; a proxy that opened a tunnel here would stop filtering",
    examples: [
      ["responses", "go", "HTTP/1.1 101 x\r\n\r\n"],
      ["responses", "llhttp", "HTTP/1.1 101 x\r\n\r\n"],
    ],
  },
  {
    id: "heads over 1 MiB",
    refusal: /head has more than|head is too long/,
    reason:
      "Go's server takes 4 KiB more than its limit says; Go's readers of responses leave the limit to others",
    examples: [
      ["requests", "go", `${post}X: ${"x".repeat(1 << 20)}\r\n\r\n`],
      ["requests", "llhttp", `${post}X: ${"x".repeat(1 << 20)}\r\n\r\n`],
      ["responses", "go", `HTTP/1.1 204 x\r\nX: ${"x".repeat(1 << 20)}\r\n\r\n`],
      ["responses", "llhttp", `HTTP/1.1 204 x\r\nX: ${"x".repeat(1 << 20)}\r\n\r\n`],
    ],
  },
];
