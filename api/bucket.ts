/**
 * Name to bucket. A namespace (or a cluster-scoped object) belongs to one of 32 buckets by its name; the
 * number is never stored anywhere but in labels, so both functions are contracts that never change.
 */

declare const bucketBrand: unique symbol;
/** 0..31. Only `bucketOf` and `parseBucket` make one. */
export type Bucket = number & { readonly [bucketBrand]: true };

export const bucketCount = 32;

export type HashName = "murmur3" | "additive";

const utf8 = new TextEncoder();

/**
 * Bucket of a name: `murmur3` is MurmurHash3 x86 32 bit with seed 0 over the UTF-8 bytes, mod 32; `additive`
 * is the Go original's sum of code points mod 32 (`spec/ctrlmesh.md` 4.1), for fleets that mix both.
 */
export function bucketOf(name: string, hash: HashName): Bucket {
  return (hash === "murmur3" ? murmur3(utf8.encode(name)) % bucketCount : additive(name)) as Bucket;
}

/** The bucket written in a label value, or undefined for anything but "0".."31" without leading zeros. */
export function parseBucket(text: string): Bucket | undefined {
  if (!/^(0|[1-9][0-9]?)$/.test(text)) return undefined;
  const value = Number(text);
  return value < bucketCount ? (value as Bucket) : undefined;
}

/** All buckets in order. */
export const allBuckets: readonly Bucket[] = Array.from({ length: bucketCount }, (_, i) => i as Bucket);

function additive(name: string): number {
  let sum = 0;
  for (const character of name) sum = (sum * 33 + (character.codePointAt(0) ?? 0)) % bucketCount;
  return sum;
}

/** MurmurHash3_x86_32 (Appleby, public domain reference), seed 0; result is unsigned. */
export function murmur3(bytes: Uint8Array): number {
  const blocks = bytes.length - (bytes.length % 4);
  let h = 0;
  for (let i = 0; i < blocks; i += 4) {
    const word =
      byteAt(bytes, i) |
      (byteAt(bytes, i + 1) << 8) |
      (byteAt(bytes, i + 2) << 16) |
      (byteAt(bytes, i + 3) << 24);
    h ^= scramble(word);
    h = (h << 13) | (h >>> 19);
    h = (Math.imul(h, 5) + 0xe6546b64) | 0;
  }
  let tail = 0;
  for (let i = bytes.length - 1; i >= blocks; i--) tail = (tail << 8) | byteAt(bytes, i);
  h ^= scramble(tail) ^ bytes.length;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

function scramble(word: number): number {
  const k = Math.imul(word, 0xcc9e2d51);
  return Math.imul((k << 15) | (k >>> 17), 0x1b873593);
}

function byteAt(bytes: Uint8Array, index: number): number {
  return bytes[index] ?? 0;
}
