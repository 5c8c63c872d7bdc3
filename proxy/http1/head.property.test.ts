import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CtrlmeshError } from "#api/errors";
import { RequestHeadParser } from "./head.ts";

const tokenOf = fc.stringMatching(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,12}$/);
const targetOf = fc.stringMatching(/^\/[!"$-~]{0,30}$/);
const fieldValueOf = fc.stringMatching(
  /^([!-~\u0080-\u00ff]([\t -~\u0080-\u00ff]{0,20}[!-~\u0080-\u00ff])?)?$/,
);

/** Heads in whose headers nothing is read but Host and Accept. */
const headOf = fc.record({
  method: tokenOf.filter((method) => method !== "CONNECT"),
  target: targetOf,
  accept: fc.option(fieldValueOf, { nil: undefined }),
  fields: fc.array(
    fc.tuple(
      tokenOf.map((name) => `x-${name}`),
      fieldValueOf,
    ),
    { maxLength: 5 },
  ),
});

function print(head: {
  method: string;
  target: string;
  accept: string | undefined;
  fields: [string, string][];
}): string {
  const fields = head.fields.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  const accept = head.accept === undefined ? "" : `Accept:${head.accept}\r\n`;
  return `${head.method} ${head.target} HTTP/1.1\r\nHost: a\r\n${accept}${fields}\r\n`;
}

test("head: what was printed is parsed back, wherever it stands in the buffer (property)", () => {
  fc.assert(
    fc.property(headOf, fc.nat(20), fc.uint8Array({ maxLength: 20 }), (head, before, behind) => {
      const text = print(head);
      const bytes = Buffer.concat([Buffer.alloc(before, 10), Buffer.from(text, "latin1"), behind]);
      const parsed = new RequestHeadParser().parse(bytes, before);
      assert.equal(parsed?.method, head.method);
      assert.equal(parsed.target, head.target);
      assert.equal(text.slice(parsed.targetStart, parsed.targetEnd), head.target);
      assert.equal(parsed.accept, head.accept);
      assert.equal(parsed.length, text.length);
    }),
  );
});

test("head: any bytes give a head within them, a wait or a typed refusal (property)", () => {
  const pieces = fc.constantFrom(
    "GET / HTTP/1.1",
    "\r\n",
    "Host: a",
    "Content-Length: 5",
    ":",
    " ",
    "\n",
    "\r",
    "\0",
    "x",
  );
  const noise = fc.uint8Array({ maxLength: 6 }).map((bytes) => Buffer.from(bytes).toString("latin1"));
  fc.assert(
    fc.property(fc.array(fc.oneof(pieces, noise), { maxLength: 12 }), (parts) => {
      const bytes = Buffer.from(parts.join(""), "latin1");
      try {
        const head = new RequestHeadParser().parse(bytes, 0);
        if (head === undefined) return;
        assert.ok(head.length <= bytes.length);
        assert.ok(0 < head.targetStart && head.targetStart < head.targetEnd && head.targetEnd < head.length);
        assert.equal(bytes.toString("latin1", head.length - 4, head.length), "\r\n\r\n");
      } catch (error) {
        assert.ok(error instanceof CtrlmeshError && error.code === "MALFORMED_REQUEST", String(error));
      }
    }),
    { numRuns: 2000 },
  );
});
