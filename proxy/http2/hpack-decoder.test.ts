import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ErrorCode } from "./constants.ts";
import { Http2ConnectionError } from "./errors.ts";
import { type DecodedHeaders, HpackDecoder } from "./hpack-decoder.ts";
import { encodeFields } from "./hpack-encoder.ts";
import { hpackExamples } from "./hpack-examples.ts";
import { HeaderField } from "./hpack-field.ts";

const createDecoder = (maxTableSize = 4096, maxListBytes = 1 << 20) =>
  new HpackDecoder({ maxTableSize, maxListBytes });

const decodeHex = (decoder: HpackDecoder, hex: string): DecodedHeaders => {
  const block = Buffer.from(hex.replaceAll(" ", ""), "hex");
  return decoder.decode(block, 0, block.length);
};

const pairsOf = ({ fields }: DecodedHeaders): string[][] => fields.map(({ name, value }) => [name, value]);

function assertRefused(run: () => unknown, message: RegExp): void {
  assert.throws(run, (error) => {
    assert.ok(error instanceof Http2ConnectionError, String(error));
    assert.equal(error.errorCode, ErrorCode.COMPRESSION_ERROR);
    assert.match(error.message, message);
    return true;
  });
}

for (const { section, maxTableSize, blocks } of hpackExamples) {
  test(`HpackDecoder: RFC 7541 ${section}`, () => {
    const decoder = createDecoder(maxTableSize);
    for (const { hex, fields } of blocks) assert.deepEqual(pairsOf(decodeHex(decoder, hex)), fields);
  });
}

test("HpackDecoder: tells which literals must never be indexed", () => {
  const decoder = createDecoder();
  const { fields } = decodeHex(decoder, "1001610162 0001610162 4001610162 be");
  assert.deepEqual(
    fields.map(({ neverIndexed }) => neverIndexed),
    [true, false, false, false],
  );
});

test("HpackDecoder: an entry of the table is the same field each time, so that work on it is kept", () => {
  const decoder = createDecoder();
  const [literal] = decodeHex(decoder, "4001610162").fields;
  assert.equal(literal?.isRepeated, false);
  const [again] = decodeHex(decoder, "be").fields;
  assert.equal(again, literal);
  assert.equal(again?.isRepeated, true);
});

test("HpackDecoder: octets above 0x7f survive", () => {
  const { fields } = decodeHex(createDecoder(), "0001ff0280e9");
  assert.deepEqual([fields[0]?.name, fields[0]?.value], ["\xff", "\x80\xe9"]);
});

const refusals: readonly (readonly [what: string, hex: string, message: RegExp])[] = [
  ["index 0", "80", /entry 0/],
  ["an index behind the last entry", "be", /entry 62/],
  ["a name's index behind the last entry", "7f0001", /entry 63/],
  ["an integer of 2^31", "7f c1ffffff07 00", /integer is too large/],
  ["an integer padded with zeroes to six octets", "ff 808080808000", /integer is too large/],
  ["an integer that ends early", "ff80", /ends inside an integer/],
  ["a literal that ends before its name", "40", /ends before a string/],
  ["a literal that ends before its value", "400161", /ends before a string/],
  ["a string that ends early", "40016102", /ends inside a string/],
  ["EOS inside a string", "0084ffffffff00", /Huffman/],
  ["Huffman padding of eight bits", "00821fff00", /Huffman/],
  ["Huffman padding with a zero", "00811800", /Huffman/],
  ["a size update above the limit", "3fe21f", /4097 octets where 4096/],
  ["a size update behind a field", "8220", /behind its first field/],
];
for (const [what, hex, message] of refusals) {
  test(`HpackDecoder: refuses ${what}`, () => {
    assertRefused(() => decodeHex(createDecoder(), hex), message);
  });
}

test("HpackDecoder: the largest integer is 2^31 - 1", () => {
  assertRefused(() => decodeHex(createDecoder(), "ff80ffffff07"), /entry 2147483647/);
});

test("HpackDecoder: a block in the middle of a buffer is read to its own end only", () => {
  const decoder = createDecoder();
  const bytes = Buffer.from("ffff4001610162ffff", "hex");
  assert.deepEqual(pairsOf(decoder.decode(bytes, 2, 7)), [["a", "b"]]);
  for (let end = 3; end < 7; end++) assertRefused(() => createDecoder().decode(bytes, 2, end), /ends/);
});

test("HpackDecoder: several size updates may begin a block, and the entries over the size are gone", () => {
  const decoder = createDecoder();
  decodeHex(decoder, "4001610162");
  assert.deepEqual(pairsOf(decodeHex(decoder, "20 3fe11f 4001630164 be")), [
    ["c", "d"],
    ["c", "d"],
  ]);
  assertRefused(() => decodeHex(decoder, "bf"), /entry 63/);
});

test("HpackDecoder: an entry larger than the table empties it", () => {
  const decoder = createDecoder(40);
  decodeHex(decoder, "4001610162");
  assert.deepEqual(pairsOf(decodeHex(decoder, "be")), [["a", "b"]]);
  assert.deepEqual(pairsOf(decodeHex(decoder, "4001610a62626262626262626262")), [["a", "bbbbbbbbbb"]]);
  assertRefused(() => decodeHex(decoder, "be"), /entry 62/);
});

test("HpackDecoder: a lowered limit asks for a size update that fits the lowest limit in between", () => {
  const lowered = createDecoder();
  lowered.setMaxTableSize(100);
  assertRefused(() => decodeHex(lowered, "82"), /does not begin with the size update/);
  const bounced = createDecoder();
  bounced.setMaxTableSize(100);
  bounced.setMaxTableSize(8192);
  assertRefused(() => decodeHex(bounced, "3fe11f"), /4096 octets where 100/);
  const obeyed = createDecoder();
  obeyed.setMaxTableSize(100);
  obeyed.setMaxTableSize(8192);
  assert.deepEqual(pairsOf(decodeHex(obeyed, "3f45 3fe13f 82")), [[":method", "GET"]]);
  assert.deepEqual(pairsOf(decodeHex(obeyed, "82")), [[":method", "GET"]]);
});

test("HpackDecoder: a raised limit asks for nothing", () => {
  const decoder = createDecoder();
  decoder.setMaxTableSize(8192);
  assert.deepEqual(pairsOf(decodeHex(decoder, "82")), [[":method", "GET"]]);
  assert.deepEqual(pairsOf(decodeHex(decoder, "3fe13f 82")), [[":method", "GET"]]);
});

test("HpackDecoder: a list over the limit is told, and the table goes on as if it had been taken", () => {
  const decoder = createDecoder(4096, 70);
  const tooLarge = decodeHex(decoder, "4001610162 4001630164 4001650166");
  assert.deepEqual(tooLarge, { fields: [], isTooLarge: true });
  assert.deepEqual(pairsOf(decodeHex(decoder, "be")), [["e", "f"]]);
  assert.deepEqual(pairsOf(decodeHex(decoder, "c0bf")), [
    ["a", "b"],
    ["c", "d"],
  ]);
});

test("HpackDecoder: one octet that stands for a long field counts as the whole field", () => {
  const decoder = createDecoder(4096, 1000);
  decodeHex(decoder, `4001617f9102${"62".repeat(400)}`);
  assert.equal(decodeHex(decoder, "bebe").isTooLarge, false);
  assert.equal(decodeHex(decoder, "bebebe").isTooLarge, true);
});

const text = fc.uint8Array({ maxLength: 60 }).map((octets) => Buffer.from(octets).toString("latin1"));

test("HpackDecoder: what encodeFields wrote comes back, however often", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(text, text, fc.boolean()), { maxLength: 20 }), (triples) => {
      const fields = triples.map(([name, value, neverIndexed]) => new HeaderField(name, value, neverIndexed));
      const decoder = createDecoder();
      for (let round = 0; round < 3; round++) {
        const block = encodeFields(fields);
        const decoded = decoder.decode(block, 0, block.length).fields;
        assert.deepEqual(
          decoded.map(({ name, value, neverIndexed }) => [name, value, neverIndexed]),
          triples,
        );
        for (const field of fields) field.isRepeated = true;
      }
    }),
  );
});

test("HpackDecoder: any octets are decoded or refused with COMPRESSION_ERROR, without looking around them", () => {
  const run = (bytes: Buffer, start: number, end: number): string => {
    try {
      return JSON.stringify(createDecoder(256, 500).decode(bytes, start, end));
    } catch (error) {
      assert.ok(error instanceof Http2ConnectionError, String(error));
      return error.message;
    }
  };
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), fc.uint8Array({ maxLength: 8 }), (octets, around) => {
      const bytes = Buffer.concat([around, octets, around]);
      const alone = Buffer.from(octets);
      assert.equal(run(bytes, around.length, around.length + octets.length), run(alone, 0, alone.length));
    }),
    { numRuns: 1000 },
  );
});
