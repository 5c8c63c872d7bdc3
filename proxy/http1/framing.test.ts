import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CtrlmeshError } from "#api/errors";
import { ChunkedBody } from "./chunked.ts";
import { ResponseFraming, type ResponseListener } from "./framing.ts";
import type { ResponseHead } from "./response-head.ts";

const chunked = "5;name=value\r\nhello\r\n00a\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n";

function take(text: string): {
  readonly isDone: boolean;
  readonly end: number | string;
  readonly content: string;
} {
  const body = new ChunkedBody();
  const bytes = Buffer.from(text, "latin1");
  let content = "";
  const end = body.take(bytes, 0, bytes.length, (from, start, stop) => {
    content += from.toString("latin1", start, stop);
  });
  return { isDone: body.isDone, end, content };
}

test("chunked body: extensions, leading zeros and trailers are followed to the end and not beyond", () => {
  assert.deepEqual(take(`${chunked}GET /`), {
    isDone: true,
    end: chunked.length,
    content: "hello0123456789",
  });
});

const malformed: readonly (readonly [name: string, body: string, message: RegExp])[] = [
  ["a size line ending with LF alone", "5\nhello\r\n", /hexadecimal/],
  ["no size", "\r\n", /no size/],
  ["a signed size", "-5\r\nhello\r\n", /no size/],
  ["a 0x size", "0x5\r\nhello\r\n", /hexadecimal/],
  ["a blank behind the size", "5 \r\nhello\r\n", /hexadecimal/],
  ["a size beyond 2^53", "fffffffffffffff\r\n", /too large/],
  ["a chunk longer than its size", "5\r\nhello!\r\n", /longer than its size/],
  ["LF alone behind a chunk", "5\r\nhello\n", /longer than its size/],
  ["CR alone behind a chunk", "5\r\nhello\rx", /end with CR LF/],
  ["LF in an extension", "5;a\nb\r\n", /control character/],
  ["an endless extension", `5;${"a".repeat(5000)}`, /too long/],
  ["LF alone in the trailers", "0\r\n\n", /LF alone/],
  ["a folded trailer", "0\r\nA: b\r\n c\r\n", /folding/],
  ["a trailer without a colon", "0\r\nA\r\n", /no colon/],
  ["endless trailers", `0\r\n${"A: b\r\n".repeat(20_000)}`, /too long/],
];

for (const [name, body, message] of malformed) {
  test(`chunked body: ${name} is refused`, () => {
    const { end } = take(body);
    assert.match(String(end), message);
  });
}

interface Followed {
  readonly passed: string;
  readonly statuses: readonly number[];
  readonly content: string;
  readonly isDone: boolean;
  readonly end: number;
}

/** Follows one response given in pieces; `end` counts the bytes taken. */
function follow(
  pieces: readonly string[],
  request: { readonly isHead?: boolean; readonly maySwitch?: boolean } = {},
  wantsContent = false,
): Followed {
  const framing = new ResponseFraming();
  framing.begin(request.isHead ?? false, request.maySwitch ?? false);
  const statuses: number[] = [];
  let content = "";
  let passed = "";
  let end = 0;
  const listener: ResponseListener = {
    wantsContent,
    responseHead: (head: ResponseHead) => void statuses.push(head.status),
    responseContent: (bytes, from, to) => {
      content += bytes.toString("latin1", from, to);
    },
  };
  for (const piece of pieces) {
    const bytes = Buffer.from(piece, "latin1");
    let at = 0;
    while (at < bytes.length && !framing.isDone) {
      const next = framing.take(bytes, at, bytes.length, listener, (from, start, stop) => {
        passed += from.toString("latin1", start, stop);
      });
      end += next - at;
      at = next;
    }
  }
  return { passed, statuses, content, isDone: framing.isDone, end };
}

const codeOf = (call: () => unknown): string | undefined => {
  try {
    call();
  } catch (error) {
    if (error instanceof CtrlmeshError) return error.code;
    throw error;
  }
  return undefined;
};

test("response: HEAD, 204 and 304 have no body whatever their headers say", () => {
  const withLength = (status: number) => `HTTP/1.1 ${status} x\r\nContent-Length: 5\r\n\r\n`;
  for (const [text, isHead] of [
    [withLength(200), true],
    [withLength(204), false],
    [withLength(304), false],
    ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true],
  ] as const) {
    const followed = follow([`${text}HTTP`], { isHead });
    assert.deepEqual([followed.isDone, followed.end], [true, text.length]);
  }
});

test("response: informational heads pass and the final one is awaited", () => {
  const text =
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  const followed = follow([text]);
  assert.deepEqual(followed, { passed: text, statuses: [200], content: "", isDone: true, end: text.length });
});

test("response: without length it lasts until the connection ends", () => {
  assert.equal(follow(["HTTP/1.1 200 OK\r\n\r\nabc"]).isDone, false);
});

test("response: any split passes the same bytes and ends at the same place", () => {
  const text = `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunked}`;
  const whole = follow([text], {}, true);
  assert.deepEqual([whole.passed, whole.isDone, whole.content], [text, true, "hello0123456789"]);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: text.length }), { maxLength: 12 }), (cuts) => {
      const places = [0, ...cuts.sort((left, right) => left - right), text.length];
      const pieces = places.slice(1).map((end, index) => text.slice(places[index], end));
      assert.deepEqual(follow(pieces, {}, true), whole);
    }),
  );
  assert.deepEqual(follow([...text], {}, true), whole);
});

test("response: no byte of a head passes before the head is whole", () => {
  assert.equal(follow(["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"]).passed, "");
});

const badResponses: readonly (readonly [name: string, head: string])[] = [
  ["both lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"],
  ["two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n"],
  ["another coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"],
  ["bare LF", "HTTP/1.1 200 OK\nContent-Length: 5\r\n\r\n"],
  ["a folded header", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n"],
  ["another version", "HTTP/2 200\r\n\r\n"],
  ["a status of two digits", "HTTP/1.1 20 OK\r\n\r\n"],
  ["a status of four digits", "HTTP/1.1 2000 OK\r\n\r\n"],
  ["101 without an upgrade", "HTTP/1.1 101 Switching Protocols\r\n\r\n"],
  ["a malformed chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"],
];

for (const [name, head] of badResponses) {
  test(`response: ${name} is MALFORMED_RESPONSE`, () => {
    assert.equal(
      codeOf(() => follow([head])),
      "MALFORMED_RESPONSE",
    );
    assert.equal(
      codeOf(() => follow([...head])),
      "MALFORMED_RESPONSE",
    );
  });
}
