import type { Random } from "./random.ts";

/** Changes to a stream's text, Latin-1: what attackers, broken clients and broken lines do to valid bytes. */

const eol = "\r\n";

const oddBytes = [
  "\r",
  "\n",
  "\0",
  "\t",
  " ",
  "\v",
  "\f",
  "\x7f",
  "\x80",
  "\xff",
  ":",
  ";",
  ",",
  "0",
  "#",
  '"',
];

/** Headers that change where a message ends, or might. */
const framingLines = [
  "Content-Length: 5",
  "Content-Length: 0",
  "Content-Length: +5",
  "Content-Length: -1",
  "Content-Length: 5, 5",
  "Content-Length: 5,6",
  "Content-Length: 0x5",
  "Content-Length: 5 ",
  "Content-Length: 5\t5",
  "Content-Length: ",
  "Content-Length: 5_0",
  "Content-Length: 99999999999999999999",
  "Content-Length: 9223372036854775807",
  "Content-Length: 18446744073709551621",
  "Content-Length : 5",
  "Content_Length: 5",
  "Transfer-Encoding: chunked",
  "Transfer-Encoding: Chunked",
  "Transfer-Encoding: identity",
  "Transfer-Encoding: gzip, chunked",
  "Transfer-Encoding: chunked, chunked",
  "Transfer-Encoding: chunked, identity",
  "Transfer-Encoding: chunked;q=1",
  "Transfer-Encoding: \vchunked",
  "Transfer-Encoding: xchunked",
  "Transfer-Encoding : chunked",
  "Transfer-Encoding:\tchunked",
  "Transfer-Encoding: ",
  "Transfer-Encoding: \xa0chunked",
  "Host: other",
  "Host: a b",
  "Connection: close",
  "Connection: keep-alive",
  "Connection: close, keep-alive",
  "Connection: Transfer-Encoding",
  "Connection: ,close",
  "Connection: \xa0close",
  "Connection: \vclose",
  "Connection:",
  "Proxy-Connection: close",
  "Connection: upgrade",
  "Upgrade: websocket",
  "Upgrade: h2c",
  "Expect: 100-continue",
  "Expect: 100-continue, x",
  "Expect: x",
  "Expect:",
  "Trailer: Content-Length",
  "Trailer: X",
  "TE: trailers",
  "Accept: text/plain",
  "Authorization: Bearer x",
  "Authorization:",
] as const;

const startLines = [
  "GET http://api/ HTTP/1.1",
  "GET https://api/api/v1/secrets HTTP/1.1",
  "OPTIONS * HTTP/1.1",
  "CONNECT api:443 HTTP/1.1",
  "CONNECT /x HTTP/1.1",
  "GET / HTTP/1.2",
  "GET / HTTP/2.0",
  "GET / HTTP/0.9",
  "GET / HTTP/1.01",
  "GET / HTTP/1.",
  "GET / http/1.1",
  "GET /",
  "GET  / HTTP/1.1",
  "GET /  HTTP/1.1",
  "GET / HTTP/1.1 ",
  " GET / HTTP/1.1",
  "GET\t/ HTTP/1.1",
  "GET / x HTTP/1.1",
  "get / HTTP/1.1",
  "GET /%zz HTTP/1.1",
  "GET /a#b HTTP/1.1",
  "GET /\xe4 HTTP/1.1",
  "GET //x HTTP/1.1",
  "GET ?x HTTP/1.1",
  "PRI * HTTP/2.0",
  "SOURCE / ICE/1.0",
  "DESCRIBE / RTSP/1.0",
  "HTTP/1.1 200",
  "HTTP/1.1 200OK",
  "HTTP/1.1  200 OK",
  "HTTP/1.1 20 OK",
  "HTTP/1.1 2000 OK",
  "HTTP/1.1 099 x",
  "HTTP/1.1 000 x",
  "HTTP/1.1 +20 x",
  "HTTP/1.1 600 x",
  "HTTP/1.1 101 Switching Protocols",
  "HTTP/1.1 100 Continue",
  "HTTP/1.0 101 x",
  "HTTP/1.1 205 Reset",
  "HTTP/1.0 100 Continue",
  "HTTP/1.2 200 OK",
  "HTTP/2.0 200 OK",
  "HTTP/2 200",
  "ICY 200 OK",
  "http/1.1 200 OK",
] as const;

const chunkLines = [
  "+5",
  "-5",
  "0x5",
  "5 ",
  " 5",
  "5;",
  "5 ;a",
  '5;a="b\r\n"',
  "5;a\tb",
  "5;a\x00",
  "5;a\x80",
  "5\t",
  "05",
  "5;a;b=c",
  "5; a = b",
  "fffffffffffffffff",
  "7fffffffffffffff",
  "ffffffffffffffff",
  "10000000000000000",
  "00000000000000005",
  "0;x",
  "00",
  "g",
  "5_",
  "",
] as const;

type Mutation = (random: Random, text: string) => string;

function replaceAt(text: string, start: number, end: number, by: string): string {
  return text.slice(0, start) + by + text.slice(end);
}

/** A random line end of the text, or -1. */
function lineEnd(random: Random, text: string): number {
  const from = random.below(text.length + 1);
  const after = text.indexOf(eol, from);
  return after >= 0 ? after : text.indexOf(eol);
}

function mutateLine(random: Random, text: string, change: (line: string) => string): string {
  const end = lineEnd(random, text);
  if (end < 0) return text;
  const start = text.lastIndexOf(eol, end - 1) + 2;
  const first = start === 1 ? 0 : start;
  return replaceAt(text, first, end, change(text.slice(first, end)));
}

/** Behind a random line that looks like a header. */
function insertHeader(random: Random, text: string, line: string): string {
  const headEnd = text.indexOf("\r\n\r\n", random.oneIn(2) ? 0 : random.below(text.length + 1));
  return headEnd < 0 ? text : replaceAt(text, headEnd, headEnd, eol + line);
}

const mutations: readonly [Mutation, ...Mutation[]] = [
  (random, text) => {
    const at = random.below(text.length);
    return replaceAt(text, at, at + 1, String.fromCharCode(random.below(256)));
  },
  (random, text) => {
    const at = random.below(text.length + 1);
    return replaceAt(text, at, at, oddBytes[random.below(oddBytes.length)] ?? "");
  },
  (random, text) => {
    const at = random.below(text.length);
    return replaceAt(text, at, at + random.between(1, 3), "");
  },
  (random, text) => {
    const at = lineEnd(random, text);
    return at < 0
      ? text
      : replaceAt(text, at, at + 2, random.pick(["\n", "\r", "\r\r\n", "\n\r", "\r\n\r\n", ""]));
  },
  (random, text) => insertHeader(random, text, random.pick(framingLines)),
  (random, text) => insertHeader(random, text, random.pick(framingLines)),
  (random, text) => insertHeader(random, text, random.pick(framingLines)),
  (random, text) => mutateLine(random, text, (line) => line + eol + line),
  (random, text) =>
    mutateLine(random, text, (line) => line.replace(":", random.pick([" :", "\t:", "", "::"]))),
  (random, text) => mutateLine(random, text, (line) => random.pick([" ", "\t", ""]) + line),
  (random, text) =>
    mutateLine(random, text, (line) => line + eol + random.pick([" folded", "\tfolded", " ", ""])),
  (random, text) => mutateLine(random, text, () => random.pick(chunkLines)),
  (random, text) => mutateLine(random, text, () => random.pick(chunkLines)),
  (random, text) => {
    const end = text.indexOf(eol);
    return end < 0 ? text : replaceAt(text, 0, end, random.pick(startLines));
  },
  (random, text) =>
    text.replace(/HTTP\/1\.1/, () => random.pick(["HTTP/1.0", "HTTP/1.2", "HTTP/1.1 ", "HTTP/1,1"])),
  (random, text) =>
    text.replace(
      /(Content-Length: *)(\d+)/i,
      (_, name: string, digits: string) => name + String(Math.max(0, Number(digits) + random.between(-3, 3))),
    ),
  (random, text) => text.slice(0, random.below(text.length + 1)),
  (random, text) => random.pick([eol, "\n", "\r", " ", eol + eol, "\0"]) + text,
  (random, text) => text + random.pick([eol, "\n", "x", "GET / HTTP/1.1\r\n\r\n", "0\r\n\r\n", "\0"]),
  (random, text) => {
    const start = random.below(text.length);
    const end = Math.min(text.length, start + random.between(1, 60));
    const at = random.below(text.length + 1);
    return replaceAt(text, at, at, text.slice(start, end));
  },
];

/** Changes the text once or a few times. */
export function mutate(random: Random, text: string): string {
  let mutated = text;
  for (let count = random.pick([1, 1, 1, 2, 2, 4]); count > 0; count--) {
    if (mutated !== "") mutated = random.pick(mutations)(random, mutated);
  }
  return mutated;
}
