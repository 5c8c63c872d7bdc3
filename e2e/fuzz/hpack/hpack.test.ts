import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { type FuzzResult, fuzz } from "./fuzz.ts";
import { GoReference, withoutGo } from "./go-reference.ts";
import { Subject } from "./subject.ts";

const skip = withoutGo() ?? false;
const folder = new URL("../../../proxy/http2/", import.meta.url);
const seed = Number(process.env.CTRLMESH_TEST_SEED ?? randomInt(2 ** 31));
const inputs = 2000;

let go: GoReference;
before(async () => {
  if (skip === false) go = await GoReference.start();
});
after(async () => {
  if (skip === false) await go[Symbol.asyncDispose]();
});

test("fuzz: HPACK and frames are read as golang.org/x/net reads them, or refused", { skip }, async (t) => {
  t.diagnostic(`CTRLMESH_TEST_SEED=${seed}`);
  const result = await fuzz({ subject: await Subject.load(folder), go, inputs, seed });
  assert.deepEqual(result.differences, []);
  assert.ok(
    result.accepted >= inputs / 2,
    `the reference accepts only ${result.accepted} of ${inputs} inputs (seed ${seed})`,
  );
});

/** Bugs that were made in codecs before, as a change to one line of ours. */
const bugs: readonly (readonly [what: string, file: string, line: string, planted: string])[] = [
  [
    "the padding of a Huffman code is not looked at",
    "huffman.ts",
    "return isEnd[state] === 1 ? count : -1;",
    "return count;",
  ],
  [
    "an entry is added before room was made for it",
    "hpack-dynamic-table.ts",
    "this.#evictTo(this.#maxSize - size);",
    "this.#evictTo(this.#maxSize);",
  ],
  [
    "what is kept of a repeated field lies in the shared buffer",
    "hpack-encoder.ts",
    "Uint8Array.prototype.slice.call(scratch, start, at)",
    "scratch.subarray(start, at)",
  ],
  [
    "a continuation octet of an integer is taken with seven bits too few",
    "hpack-decoder.ts",
    "2 ** shift",
    "2 ** Math.min(shift, 7)",
  ],
  [
    "the reserved bit counts as part of the stream id",
    "frame-reader.ts",
    "raw.readUInt32BE(5) & 0x7fffffff",
    "raw.readUInt32BE(5)",
  ],
  [
    "a header block goes on in a CONTINUATION of another stream",
    "frame-rules.ts",
    " || (isContinuation && streamId !== this.#streamId)",
    "",
  ],
];
for (const [what, file, line, planted] of bugs) {
  test(`fuzz: a planted bug is found: ${what}`, { skip }, async () => {
    const { differences } = await fuzzPlanted(file, line, planted);
    assert.notDeepEqual(differences, []);
  });
}

async function fuzzPlanted(file: string, line: string, planted: string): Promise<FuzzResult> {
  const copy = mkdtempSync(join(tmpdir(), "ctrlmesh-planted-"));
  try {
    cpSync(fileURLToPath(folder), copy, { recursive: true });
    writeFileSync(join(copy, "package.json"), '{"type":"module"}');
    const text = readFileSync(join(copy, file), "utf8");
    assert.ok(text.includes(line), `${file} has no such line any more: ${line}`);
    writeFileSync(join(copy, file), text.replace(line, planted));
    const subject = await Subject.load(pathToFileURL(`${copy}/`));
    return await fuzz({ subject, go, inputs: 5 * inputs, seed: 1 });
  } finally {
    rmSync(copy, { recursive: true });
  }
}
