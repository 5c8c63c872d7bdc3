/**
 * Bits of the code of each octet 0 to 255, then of EOS (RFC 7541 appendix B). The code is canonical: codes of one
 * length ascend with the octet, and shorter ones come first, so that the lengths are all there is to know.
 */
// biome-ignore format: rows of 16
const codeLengths: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
  28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
  6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
  5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
  7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
  15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
  6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
  20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
  24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
  22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
  21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
  26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
  19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
  20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
  26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
  30,
];

const endOfString = 256;

export interface HuffmanCode {
  /** The octet, or 256 for EOS. */
  readonly symbol: number;
  /** Right-aligned. */
  readonly code: number;
  readonly bits: number;
}

/** The codes of all octets and of EOS, shortest first. */
export function huffmanCodes(): readonly HuffmanCode[] {
  let code = 0;
  let bits = 0;
  return codeLengths
    .map((length, symbol) => ({ length, symbol }))
    .sort((a, b) => a.length - b.length || a.symbol - b.symbol)
    .map(({ length, symbol }) => {
      code <<= length - bits;
      bits = length;
      return { symbol, code: code++, bits };
    });
}

/**
 * The decoder is a machine that takes four bits at a time. A state is a place inside the code's tree (256 of
 * them), a step is `steps[state * 16 + bits]`: the octet that it completes (no code is shorter than five bits, so
 * there is one at most), the next state, and two marks.
 */
const nextStateShift = 8;
const emitsBit = 16;
const failsMark = 1 << 17;
const steps = new Uint32Array(256 * 16);

/** 1 for the states in which a string may end: up to seven bits, all ones, behind the last octet (section 5.2). */
const isEnd = new Uint8Array(256);

/** Both are filled at the first coded string: it takes milliseconds, which the start of a proxy is not to wait for. */
let isFilled = false;

/** Children of the inner places of the code's tree; a leaf is `leafBase` + symbol. */
const leafBase = 1 << 10;

function buildTree(): readonly (readonly [number, number])[] {
  const tree: [number, number][] = [[0, 0]];
  for (const { symbol, code, bits } of huffmanCodes()) {
    let place = tree[0];
    for (let shift = bits - 1; place !== undefined && shift >= 0; shift--) {
      const bit = ((code >> shift) & 1) as 0 | 1;
      if (shift === 0) place[bit] = leafBase + symbol;
      else if (place[bit] === 0) place[bit] = tree.push([0, 0]) - 1;
      place = tree[place[bit]];
    }
  }
  return tree;
}

function stepFrom(tree: readonly (readonly [number, number])[], state: number, nibble: number): number {
  let at = state;
  let emitted = 0;
  for (let shift = 3; shift >= 0; shift--) {
    at = tree[at]?.[((nibble >> shift) & 1) as 0 | 1] ?? 0;
    if (at < leafBase) continue;
    if (at === leafBase + endOfString) return failsMark;
    emitted = (1 << emitsBit) | (at - leafBase);
    at = 0;
  }
  return emitted | (at << nextStateShift);
}

function fill(): void {
  isFilled = true;
  const tree = buildTree();
  for (let state = 0; state < tree.length; state++) {
    for (let nibble = 0; nibble < 16; nibble++) steps[state * 16 + nibble] = stepFrom(tree, state, nibble);
  }
  for (let ones = 0, state = 0; ones <= 7; ones++) {
    isEnd[state] = 1;
    state = tree[state]?.[1] ?? 0;
  }
}

/** Most octets that `length` octets can decode to: the shortest code has five bits. One is kept spare. */
export function decodedCapacity(length: number): number {
  return Math.ceil((length * 8) / 5) + 1;
}

/**
 * Decodes bytes[start, end) into `target`, which holds `decodedCapacity(end - start)` octets.
 *
 * @returns octets written, or -1 when the bytes are no valid code: EOS in them, or padding that is longer than
 * seven bits or not all ones (RFC 7541 section 5.2)
 */
export function decodeHuffman(bytes: Uint8Array, start: number, end: number, target: Uint8Array): number {
  if (!isFilled) fill();
  let state = 0;
  let count = 0;
  for (let at = start; at < end; at++) {
    const byte = bytes[at] ?? 0;
    const first = steps[(state << 4) | (byte >> 4)] ?? 0;
    // Written in any case and counted only when the step completes an octet: cheaper than a branch.
    target[count] = first & 0xff;
    count += (first >> emitsBit) & 1;
    const second = steps[((first >> (nextStateShift - 4)) & 0xff0) | (byte & 15)] ?? 0;
    target[count] = second & 0xff;
    count += (second >> emitsBit) & 1;
    if (((first | second) & failsMark) !== 0) return -1;
    state = (second >> nextStateShift) & 0xff;
  }
  return isEnd[state] === 1 ? count : -1;
}
