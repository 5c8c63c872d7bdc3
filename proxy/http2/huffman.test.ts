import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodedCapacity, decodeHuffman, huffmanCodes } from "./huffman.ts";

const codes = new Map(huffmanCodes().map((entry) => [entry.symbol, entry]));

/** The text's code as a string of bits, padded with ones to whole octets. */
function bitsOf(symbols: readonly number[]): string {
  const bits = symbols.map((symbol) => {
    const { code, bits: length } = codes.get(symbol) ?? { code: 0, bits: 0 };
    return code.toString(2).padStart(length, "0");
  });
  return bits.join("");
}

function octetsOf(bits: string): Buffer {
  const padded = bits.padEnd(Math.ceil(bits.length / 8) * 8, "1");
  return Buffer.from((padded.match(/.{8}/g) ?? []).map((octet) => Number.parseInt(octet, 2)));
}

function decode(bytes: Buffer): Buffer | undefined {
  const target = Buffer.alloc(decodedCapacity(bytes.length));
  const count = decodeHuffman(bytes, 0, bytes.length, target);
  return count < 0 ? undefined : target.subarray(0, count);
}

test("huffmanCodes: the codes of RFC 7541 appendix B, at both ends and in the middle", () => {
  const expected: readonly (readonly [symbol: number, code: number, bits: number])[] = [
    [48, 0x0, 5],
    [32, 0x14, 6],
    [0, 0x1ff8, 13],
    [128, 0xfffe6, 20],
    [255, 0x3ffffee, 26],
    [10, 0x3ffffffc, 30],
    [256, 0x3fffffff, 30],
  ];
  for (const [symbol, code, bits] of expected) assert.deepEqual(codes.get(symbol), { symbol, code, bits });
  assert.equal(codes.size, 257);
});

test("decodeHuffman: every octet alone, and in front of and behind every other one", () => {
  for (let first = 0; first < 256; first++) {
    assert.deepEqual(decode(octetsOf(bitsOf([first]))), Buffer.from([first]));
    for (let second = 0; second < 256; second++) {
      assert.deepEqual(decode(octetsOf(bitsOf([first, second]))), Buffer.from([first, second]));
    }
  }
});

test("decodeHuffman: any octets come back", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (octets) => {
      assert.deepEqual(decode(octetsOf(bitsOf([...octets]))), Buffer.from(octets));
    }),
  );
});

test("decodeHuffman: refuses EOS, more than seven bits of padding, and padding that is not all ones", () => {
  assert.equal(decode(octetsOf(bitsOf([97, 256]))), undefined);
  assert.equal(decode(octetsOf(bitsOf([256, 97]))), undefined);
  assert.equal(decode(Buffer.concat([octetsOf(bitsOf([97])), Buffer.from([0xff])])), undefined);
  assert.equal(decode(Buffer.from([0xff])), undefined);
  assert.equal(decode(octetsOf(`${bitsOf([97])}110`)), undefined);
  assert.deepEqual(decode(octetsOf(`${bitsOf([97])}111`)), Buffer.from("a"));
});

test("decodeHuffman: the target's capacity is enough for the shortest codes", () => {
  for (let length = 0; length < 40; length++) {
    const bytes = Buffer.alloc(length, 0);
    // All zeroes are a row of "0", whose code has five bits; what is left over is no padding.
    const target = Buffer.alloc(decodedCapacity(length) + 8, 0xee);
    decodeHuffman(bytes, 0, length, target);
    assert.deepEqual(target.subarray(decodedCapacity(length)), Buffer.alloc(8, 0xee));
  }
});
