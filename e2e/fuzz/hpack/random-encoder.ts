import { staticFields } from "#proxy/http2/hpack-static-table";
import { huffmanCodes } from "#proxy/http2/huffman";
import type { Random } from "../http1/random.ts";
import type { Field } from "./reading.ts";

const codes = new Map(huffmanCodes().map(({ symbol, code, bits }) => [symbol, { code, bits }]));

/**
 * An HPACK encoder (RFC 7541) that chooses at random among all the representations that a field may have, where
 * real ones always take the same.
 */
export class RandomEncoder {
  readonly #random: Random;
  #maxSize: number;
  /** Newest first. */
  #entries: Field[] = [];
  #out: number[] = [];

  constructor(maxTableSize: number, random: Random) {
    this.#maxSize = maxTableSize;
    this.#random = random;
  }

  /** @param sizes size updates that the block begins with */
  encode(fields: readonly Field[], sizes: readonly number[]): Buffer {
    this.#out = [];
    for (const size of sizes) {
      this.#integer(0x20, 5, size);
      this.#maxSize = size;
      this.#evict();
    }
    for (const field of fields) this.#field(field);
    return Buffer.from(this.#out);
  }

  #field(field: Field): void {
    const [name, value, neverIndexed] = field;
    const index = this.#indexOf((entry) => entry[0] === name && entry[1] === value);
    if (index > 0 && !neverIndexed && !this.#random.oneIn(6)) {
      this.#integer(0x80, 7, index);
      return;
    }
    const adds = !neverIndexed && this.#random.below(3) > 0;
    if (neverIndexed) this.#literal(0x10, 4, field);
    else if (adds) this.#literal(0x40, 6, field);
    else this.#literal(0x00, 4, field);
    if (!adds) return;
    this.#entries.unshift(field);
    this.#evict();
  }

  #literal(pattern: number, prefixBits: number, [name, value]: Field): void {
    const nameIndex = this.#random.oneIn(6) ? 0 : this.#indexOf((entry) => entry[0] === name);
    this.#integer(pattern, prefixBits, nameIndex);
    if (nameIndex === 0) this.#string(name);
    this.#string(value);
  }

  /** Any index of those that fit; 0 if none does. */
  #indexOf(fits: (entry: readonly [string, string]) => boolean): number {
    const fitting: number[] = [];
    for (const [place, { name, value }] of staticFields.entries()) {
      if (fits([name, value])) fitting.push(place + 1);
    }
    for (const [place, [name, value]] of this.#entries.entries()) {
      if (fits([name, value])) fitting.push(staticFields.length + 1 + place);
    }
    return fitting[this.#random.below(fitting.length)] ?? 0;
  }

  #evict(): void {
    let size = 0;
    const kept = this.#entries.findIndex(([name, value]) => {
      size += name.length + value.length + 32;
      return size > this.#maxSize;
    });
    if (kept >= 0) this.#entries = this.#entries.slice(0, kept);
  }

  #integer(pattern: number, prefixBits: number, value: number): void {
    const largest = 2 ** prefixBits - 1;
    this.#out.push(pattern | Math.min(value, largest));
    if (value < largest) return;
    let rest = value - largest;
    for (; rest >= 128; rest = Math.floor(rest / 128)) this.#out.push(128 | (rest % 128));
    this.#out.push(rest);
  }

  #string(text: string): void {
    const isCoded = this.#random.oneIn(2);
    const octets = isCoded ? huffman(text) : Buffer.from(text, "latin1");
    this.#integer(isCoded ? 0x80 : 0, 7, octets.length);
    for (const octet of octets) this.#out.push(octet);
  }
}

function huffman(text: string): Buffer {
  const octets: number[] = [];
  let pending = 0n;
  let bits = 0;
  for (const symbol of Buffer.from(text, "latin1")) {
    const entry = codes.get(symbol) ?? { code: 0, bits: 0 };
    pending = (pending << BigInt(entry.bits)) | BigInt(entry.code);
    bits += entry.bits;
    for (; bits >= 8; bits -= 8) octets.push(Number((pending >> BigInt(bits - 8)) & 0xffn));
    pending &= (1n << BigInt(bits)) - 1n;
  }
  if (bits > 0) octets.push((Number(pending) << (8 - bits)) | (0xff >> bits));
  return Buffer.from(octets);
}
