import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CtrlmeshError } from "#api/errors";
import { ChunkedBody } from "./chunked.ts";
import { RequestBody, ResponseFraming } from "./framing.ts";
import { RequestHeadParser } from "./head.ts";

const contents = fc
  .uint8Array({ minLength: 1, maxLength: 40 })
  .map((bytes) => Buffer.from(bytes).toString("latin1"));
const extensionOf = fc.constantFrom("", ";a", ';a="b c"', "; \t");
const chunkedOf = fc.array(fc.tuple(contents, extensionOf), { maxLength: 5 }).map((chunks) => ({
  content: chunks.map(([content]) => content).join(""),
  wire: `${chunks.map(([content, extension]) => `${content.length.toString(16)}${extension}\r\n${content}\r\n`).join("")}0\r\nT: v\r\n\r\n`,
}));

/** A body in one of the three framings, with the header that says so. */
const bodyOf = fc.oneof(
  chunkedOf.map(({ wire }) => ({ header: "Transfer-Encoding: chunked\r\n", wire })),
  contents.map((wire) => ({ header: `Content-Length: ${wire.length}\r\n`, wire })),
  fc.constant({ header: "", wire: "" }),
);

function piecesOf(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return places.slice(1).map((end, index) => bytes.subarray(places[index], end));
}

const cutsOf = fc.array(fc.nat(100_000), { maxLength: 10 });

test("chunked body: any pieces give the content and end behind the last byte (property)", () => {
  fc.assert(
    fc.property(chunkedOf, cutsOf, fc.boolean(), ({ content, wire }, cuts, stopsBetween) => {
      const body = new ChunkedBody();
      let read = "";
      let taken = 0;
      for (const piece of piecesOf(Buffer.from(`${wire}GET /`, "latin1"), cuts)) {
        for (let at = 0; at < piece.length && !body.isDone; ) {
          const end = body.take(
            piece,
            at,
            piece.length,
            (bytes, from, to) => {
              read += bytes.toString("latin1", from, to);
            },
            stopsBetween,
          );
          assert.ok(typeof end === "number" && end > at && end <= piece.length, String(end));
          taken += end - at;
          at = end;
        }
      }
      assert.deepEqual([body.isDone, taken, read], [true, wire.length, content]);
    }),
  );
});

test("request body: pipelined requests are found one behind the other, none longer or shorter than its framing (property)", () => {
  fc.assert(
    fc.property(fc.array(bodyOf, { minLength: 1, maxLength: 4 }), (bodies) => {
      const requests = bodies.map(
        ({ header, wire }, index) => `POST /${index} HTTP/1.1\r\nHost: a\r\n${header}\r\n${wire}`,
      );
      const bytes = Buffer.from(requests.join(""), "latin1");
      const parser = new RequestHeadParser();
      const body = new RequestBody();
      let at = 0;
      for (const [index, { wire }] of bodies.entries()) {
        const head = parser.parse(bytes, at);
        assert.equal(head?.target, `/${index}`);
        at += head.length;
        body.begin(head);
        const end = body.take(bytes, at, bytes.length);
        assert.deepEqual([end - at, body.isDone], [wire.length, true]);
        at = end;
      }
      assert.equal(at, bytes.length);
    }),
  );
});

/** Reads one response given in pieces. */
function follow(
  pieces: readonly Buffer[],
  wantsContent: boolean,
): { passed: string; isDone: boolean; taken: number } {
  const framing = new ResponseFraming();
  framing.begin(false, false);
  let passed = "";
  let taken = 0;
  const listener = { wantsContent, responseHead: () => undefined, responseContent: () => undefined };
  for (const piece of pieces) {
    for (let at = 0; at < piece.length && !framing.isDone; ) {
      const end = framing.take(piece, at, piece.length, listener, (bytes, from, to) => {
        passed += bytes.toString("latin1", from, to);
      });
      assert.ok(end > at && end <= piece.length);
      taken += end - at;
      at = end;
    }
  }
  return { passed, isDone: framing.isDone, taken };
}

test("response: any pieces pass the same bytes and end behind the body, informational heads included (property)", () => {
  fc.assert(
    fc.property(
      bodyOf,
      fc.nat(3),
      cutsOf,
      fc.boolean(),
      ({ header, wire }, informational, cuts, wantsContent) => {
        const head = header === "" ? "HTTP/1.1 204 No Content\r\n\r\n" : `HTTP/1.1 200 OK\r\n${header}\r\n`;
        const text = `${"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".repeat(informational)}${head}${wire}`;
        const pieces = piecesOf(Buffer.from(`${text}HTTP/1.1 200`, "latin1"), cuts);
        assert.deepEqual(follow(pieces, wantsContent), { passed: text, isDone: true, taken: text.length });
      },
    ),
  );
});

test("response: any bytes are passed as they are, waited for, or refused with MALFORMED_RESPONSE (property)", () => {
  const parts = fc.constantFrom(
    "HTTP/1.1 200 OK",
    "\r\n",
    "Content-Length: 5",
    "Transfer-Encoding: chunked",
    "0",
    "\n",
    "5",
    "x",
  );
  const noise = fc.uint8Array({ maxLength: 6 }).map((bytes) => Buffer.from(bytes).toString("latin1"));
  fc.assert(
    fc.property(fc.array(fc.oneof(parts, noise), { maxLength: 12 }), cutsOf, (texts, cuts) => {
      const text = texts.join("");
      try {
        const { passed } = follow(piecesOf(Buffer.from(text, "latin1"), cuts), false);
        assert.ok(text.startsWith(passed));
      } catch (error) {
        assert.ok(error instanceof CtrlmeshError && error.code === "MALFORMED_RESPONSE", String(error));
      }
    }),
    { numRuns: 2000 },
  );
});
