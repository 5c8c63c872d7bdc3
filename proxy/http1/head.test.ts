import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CtrlmeshError } from "#api/errors";
import { GrowingBytes } from "./growing-bytes.ts";
import { headLimitBytes, type RequestHead, RequestHeadParser } from "./head.ts";

const parse = (text: string): RequestHead | undefined =>
  new RequestHeadParser().parse(Buffer.from(text, "latin1"), 0);

function refusalOf(text: string): { readonly code: string; readonly message: string } | undefined {
  try {
    parse(text);
  } catch (error) {
    if (error instanceof CtrlmeshError) return { code: error.code, message: error.message };
    throw error;
  }
  return undefined;
}

const host = "Host: api\r\n";
const refused: readonly (readonly [name: string, head: string, message: RegExp])[] = [
  [
    "both lengths",
    `POST / HTTP/1.1\r\n${host}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n`,
    /both Content-Length/,
  ],
  [
    "both lengths, other order",
    `POST / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n`,
    /both Content-Length/,
  ],
  [
    "two equal lengths",
    `POST / HTTP/1.1\r\n${host}Content-Length: 5\r\ncontent-length: 5\r\n\r\n`,
    /several Content-Length/,
  ],
  ["a list of lengths", `POST / HTTP/1.1\r\n${host}Content-Length: 5, 5\r\n\r\n`, /not a plain number/],
  ["a signed length", `POST / HTTP/1.1\r\n${host}Content-Length: +5\r\n\r\n`, /not a plain number/],
  ["an empty length", `POST / HTTP/1.1\r\n${host}Content-Length: \r\n\r\n`, /not a plain number/],
  ["a hexadecimal length", `POST / HTTP/1.1\r\n${host}Content-Length: 0x5\r\n\r\n`, /not a plain number/],
  [
    "a length beyond 2^53",
    `POST / HTTP/1.1\r\n${host}Content-Length: 99999999999999999999\r\n\r\n`,
    /not a plain number/,
  ],
  [
    "a coding before chunked",
    `POST / HTTP/1.1\r\n${host}Transfer-Encoding: gzip, chunked\r\n\r\n`,
    /exactly chunked/,
  ],
  [
    "chunked twice",
    `POST / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n`,
    /several Transfer-Encoding/,
  ],
  [
    "a disguised chunked",
    `POST / HTTP/1.1\r\n${host}Transfer-Encoding: \x0bchunked\r\n\r\n`,
    /control character/,
  ],
  ["identity", `POST / HTTP/1.1\r\n${host}Transfer-Encoding: identity\r\n\r\n`, /exactly chunked/],
  [
    "chunked in HTTP/1.0",
    `POST / HTTP/1.0\r\n${host}Transfer-Encoding: chunked\r\n\r\n`,
    /does not exist in HTTP\/1.0/,
  ],
  ["bare LF behind the request line", `GET / HTTP/1.1\nHost: api\r\n\r\n`, /LF alone/],
  ["bare LF behind a header", `GET / HTTP/1.1\r\nHost: api\n\r\n`, /LF alone/],
  ["bare LF as blank line", `GET / HTTP/1.1\r\n${host}\n`, /LF alone/],
  ["bare CR in a value", `GET / HTTP/1.1\r\n${host}X: a\rb\r\n\r\n`, /control character/],
  ["NUL in a value", `GET / HTTP/1.1\r\n${host}X: a\0b\r\n\r\n`, /control character/],
  ["DEL in a value", `GET / HTTP/1.1\r\n${host}X: a\x7fb\r\n\r\n`, /control character/],
  ["a folded line", `GET / HTTP/1.1\r\n${host}X: a\r\n b\r\n\r\n`, /folding/],
  ["a folded first line", `GET / HTTP/1.1\r\n Host: api\r\n\r\n`, /folding/],
  ["a blank before the colon", `GET / HTTP/1.1\r\n${host}Content-Length : 5\r\n\r\n`, /blank between/],
  ["a line without a colon", `GET / HTTP/1.1\r\n${host}X\r\n\r\n`, /no colon/],
  ["an empty name", `GET / HTTP/1.1\r\n${host}: a\r\n\r\n`, /no name/],
  ["a name that is no token", `GET / HTTP/1.1\r\n${host}X(Y: a\r\n\r\n`, /name holds/],
  ["a name that is not ASCII", `GET / HTTP/1.1\r\n${host}X\xe4: a\r\n\r\n`, /name holds/],
  ["no Host", "GET / HTTP/1.1\r\n\r\n", /no Host/],
  ["two Hosts", `GET / HTTP/1.1\r\n${host}${host}\r\n`, /several Host/],
  ["absolute form", `GET https://api/ HTTP/1.1\r\n${host}\r\n`, /not a path/],
  ["authority form", `CONNECT api:443 HTTP/1.1\r\n${host}\r\n`, /not a path/],
  ["CONNECT with a path", `CONNECT /x HTTP/1.1\r\n${host}\r\n`, /not a path/],
  ["asterisk form", `OPTIONS * HTTP/1.1\r\n${host}\r\n`, /not a path/],
  ["a fragment", `GET /a#b HTTP/1.1\r\n${host}\r\n`, /target holds/],
  ["a raw byte in the target", `GET /\xe4 HTTP/1.1\r\n${host}\r\n`, /target holds/],
  ["two blanks behind the target", `GET /  HTTP/1.1\r\n${host}\r\n`, /HTTP\/1.1 or HTTP\/1.0/],
  ["a tab in the request line", `GET\t/ HTTP/1.1\r\n${host}\r\n`, /begin with a method/],
  ["no version", `GET /\r\n${host}\r\n`, /target holds/],
  ["another version", `GET / HTTP/1.2\r\n${host}\r\n`, /HTTP\/1.1 or HTTP\/1.0/],
  ["a lower-case version", `GET / http/1.1\r\n${host}\r\n`, /HTTP\/1.1 or HTTP\/1.0/],
  ["the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", /HTTP\/2/],
  ["a blank line first", `\r\nGET / HTTP/1.1\r\n${host}\r\n`, /begin with a method/],
  ["a TLS hello", "\x16\x03\x01\x02\0\x01\0\n", /LF alone|begin with a method/],
];

for (const [name, head, message] of refused) {
  test(`head: ${name} is refused with MALFORMED_REQUEST`, () => {
    const refusal = refusalOf(head);
    assert.equal(refusal?.code, "MALFORMED_REQUEST");
    assert.match(refusal?.message ?? "", message);
  });
}

test("head: a line that ends with LF alone is refused at once, without the end of the head", () => {
  assert.equal(refusalOf("GET / HTTP/1.1\n")?.code, "MALFORMED_REQUEST");
});

test("head: more than 1 MiB is refused with REQUEST_HEAD_TOO_LARGE, whole or not, in one line or many", () => {
  const start = `GET / HTTP/1.1\r\n${host}X: `;
  const fits = `${start}${"x".repeat(headLimitBytes - start.length - 4)}\r\n\r\n`;
  assert.equal(parse(fits)?.length, headLimitBytes);
  assert.equal(refusalOf(`${start}${"x".repeat(headLimitBytes)}`)?.code, "REQUEST_HEAD_TOO_LARGE");
  assert.equal(refusalOf(`${start}1\r\n${"Y: 1\r\n".repeat(200_000)}`)?.code, "REQUEST_HEAD_TOO_LARGE");
});

test("head: what is read of it, whatever the case of the names", () => {
  const text =
    "POST /api/v1/x?a=b HTTP/1.1\r\nhOST: api\r\nAccept:  application/json \r\naccept: text/plain\r\nCONTENT-LENGTH: 0042\r\n" +
    "Expect: 100-Continue\r\nConnection: Upgrade\r\nconnection: x\r\nUpgrade: SPDY/3.1\r\nAuthorization: Bearer x\r\nX: \xe4\t\r\n\r\n";
  assert.deepEqual(parse(text), {
    method: "POST",
    target: "/api/v1/x?a=b",
    targetStart: 5,
    targetEnd: 18,
    length: text.length,
    contentLength: 42,
    isChunked: false,
    keepsAlive: true,
    upgrade: "SPDY/3.1",
    expectsContinue: true,
    accept: "application/json",
    hasAuthorization: true,
  });
});

test("head: whether the connection lives on follows version and Connection", () => {
  const keeps = (version: string, connection: string) =>
    parse(`GET / HTTP/${version}\r\n${host}${connection}\r\n`)?.keepsAlive;
  assert.equal(keeps("1.1", ""), true);
  assert.equal(keeps("1.1", "Connection: foo, CLOSE\r\n"), false);
  assert.equal(keeps("1.0", ""), false);
  assert.equal(keeps("1.0", "Connection: Keep-Alive\r\n"), true);
  assert.equal(parse("GET / HTTP/1.0\r\n\r\n")?.keepsAlive, false);
});

test("head: only SP and HTAB are blanks around a member of Connection", () => {
  const headOf = (connection: string) =>
    parse(`GET / HTTP/1.1\r\n${host}Connection: ${connection}\r\nUpgrade: websocket\r\n\r\n`);
  assert.equal(headOf("x,\t close \t,y")?.keepsAlive, false);
  assert.equal(headOf(" ,, ")?.keepsAlive, true);
  // Go would find the word in each of these, or not, by rules of its own.
  for (const value of ["\xa0close", "close\xa0", "\xa0upgrade", ": close", "a close", "close;x"]) {
    assert.throws(() => headOf(value), /Connection is not a list of names/, value);
  }
});

test("head: an Upgrade that Connection does not name is none", () => {
  assert.equal(parse(`GET / HTTP/1.1\r\n${host}Upgrade: websocket\r\n\r\n`)?.upgrade, undefined);
});

test("head: any split of several heads gives the same heads", () => {
  const text = `GET /a HTTP/1.1\r\n${host}\r\nPOST /b?c HTTP/1.1\r\n${host}Content-Length: 0\r\n\r\nGET /d HTTP/1.0\r\n\r\n`;
  const whole = headsOf([text]);
  assert.equal(whole.length, 3);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: text.length }), { maxLength: 12 }), (cuts) => {
      const places = [0, ...cuts.sort((left, right) => left - right), text.length];
      const pieces = places.slice(1).map((end, index) => text.slice(places[index], end));
      assert.deepEqual(headsOf(pieces), whole);
    }),
  );
  assert.deepEqual(headsOf([...text]), whole);
});

test("head: 1 MiB that comes byte by byte costs time in proportion to its length", () => {
  const bytes = Buffer.from(`GET / HTTP/1.1\r\n${host}X: ${"x".repeat(1_000_000)}\r\n\r\n`);
  const parser = new RequestHeadParser();
  const started = process.cpuUsage();
  let head: RequestHead | undefined;
  for (let end = 1; end <= bytes.length; end++) head = parser.parse(bytes.subarray(0, end), 0);
  assert.equal(head?.length, bytes.length);
  // A search from the first byte each time would take minutes.
  assert.ok(process.cpuUsage(started).user < 5_000_000);
});

function headsOf(pieces: readonly string[]): RequestHead[] {
  const parser = new RequestHeadParser();
  const kept = new GrowingBytes();
  const heads: RequestHead[] = [];
  for (const piece of pieces) {
    const bytes = Buffer.from(piece, "latin1");
    kept.append(bytes, 0, bytes.length);
    for (let head = parser.parse(kept.view, 0); head !== undefined; ) {
      heads.push(head);
      const rest = kept.detach().subarray(head.length);
      kept.append(rest, 0, rest.length);
      head = rest.length === 0 ? undefined : parser.parse(kept.view, 0);
    }
  }
  return heads;
}
