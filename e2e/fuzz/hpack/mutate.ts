import type { Random } from "../http1/random.ts";

/** Pieces that mean something to HPACK or to frames, to be put where they don't belong. */
const telling = [
  "20", // size update to 0
  "3fe11f", // size update to 4096
  "3fe21f", // ... to 4097
  "80", // index 0
  "be", // newest entry
  "ff00", // entry 127
  "ff808080808000", // an integer padded with zeroes
  "ffffffffff07", // a huge integer
  "0084ffffffff00", // EOS inside a name
  "008118", // Huffman padding with a zero
  "00821fff00", // Huffman padding of eight bits
  "000005050000000000", // headers of frames
  "000000090400000001",
  "000000010400000001",
  "000001000800000001ff",
].map((hex) => Buffer.from(hex, "hex"));

/** A copy with one small change. */
export function mutated(bytes: Buffer, random: Random): Buffer {
  const at = random.below(bytes.length + 1);
  const piece = telling[random.below(telling.length)] ?? Buffer.alloc(0);
  const copy = Buffer.from(bytes);
  switch (random.below(8)) {
    case 0:
      if (at < copy.length) copy[at] = (copy[at] ?? 0) ^ (1 << random.below(8));
      return copy;
    case 1:
      if (at < copy.length) copy[at] = random.below(256);
      return copy;
    case 2:
      return Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at)]);
    case 3:
      return Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at + piece.length)]);
    case 4:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + random.between(1, 3))]);
    case 5:
      return bytes.subarray(0, at);
    case 6:
      // Refers to an entry of the dynamic table that may have just been evicted.
      return Buffer.concat([bytes, Buffer.from([0x80 | random.between(62, 80)])]);
    default:
      return Buffer.concat([bytes, bytes.subarray(at)]);
  }
}
