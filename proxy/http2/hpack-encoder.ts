import type { HeaderField } from "./hpack-field.ts";
import { staticFieldIndex, staticNameIndex } from "./hpack-static-table.ts";

const firstCapacityBytes = 8 * 1024;
/** A scratch buffer that one huge request made larger than this is not kept. */
const keptCapacityBytes = 64 * 1024;
/** Octets beside the two strings of a literal: first octet with name index, and two lengths. */
const literalOverheadBytes = 14;
/** Up to here a loop beats a call into the engine's copy. */
const loopBytes = 40;

let scratch: Buffer = Buffer.allocUnsafeSlow(firstCapacityBytes);

/**
 * Encodes a header list (RFC 7541) without ever touching the receiver's dynamic table: static entries, and
 * literals without indexing or, where the sender wanted that, never indexed. What it writes therefore needs no
 * state, holds with any SETTINGS_HEADER_TABLE_SIZE, and can go to any stream in any order.
 *
 * Strings are spelled plainly: Huffman's code would cost both sides more than the octets do. What a repeated
 * field is spelled like is kept with it, so that the next time is one copy.
 *
 * @returns the block, valid until the next call
 */
export function encodeFields(fields: readonly HeaderField[]): Buffer {
  if (scratch.length > keptCapacityBytes) scratch = Buffer.allocUnsafeSlow(firstCapacityBytes);
  let at = 0;
  for (const field of fields) {
    const { encoded } = field;
    if (encoded === undefined) {
      reserve(at, field.name.length + field.value.length + literalOverheadBytes);
      const start = at;
      at = writeField(scratch, start, field);
      if (field.isRepeated) field.encoded = Uint8Array.prototype.slice.call(scratch, start, at);
    } else {
      reserve(at, encoded.length);
      copy(encoded, scratch, at);
      at += encoded.length;
    }
  }
  return scratch.subarray(0, at);
}

function reserve(used: number, more: number): void {
  if (used + more <= scratch.length) return;
  let capacity = scratch.length;
  while (capacity < used + more) capacity *= 2;
  const larger = Buffer.allocUnsafeSlow(capacity);
  scratch.copy(larger, 0, 0, used);
  scratch = larger;
}

function copy(from: Uint8Array, to: Buffer, at: number): void {
  if (from.length > loopBytes) {
    to.set(from, at);
    return;
  }
  for (let index = 0; index < from.length; index++) to[at + index] = from[index] ?? 0;
}

function writeField(target: Buffer, start: number, { name, value, neverIndexed }: HeaderField): number {
  const nameIndex = staticNameIndex(name);
  if (!neverIndexed) {
    const index = staticFieldIndex(nameIndex, name, value);
    if (index > 0) {
      target[start] = 0x80 | index;
      return start + 1;
    }
  }
  let at = writeInteger(target, start, neverIndexed ? 0x10 : 0, 0x0f, nameIndex);
  if (nameIndex === 0) at = writeString(target, at, name);
  return writeString(target, at, value);
}

function writeString(target: Buffer, start: number, text: string): number {
  const at = writeInteger(target, start, 0, 0x7f, text.length);
  if (text.length > loopBytes) return at + target.write(text, at, "latin1");
  for (let index = 0; index < text.length; index++) target[at + index] = text.charCodeAt(index);
  return at + text.length;
}

/** Section 5.1: `pattern` has the bits of the first octet above the integer's. */
function writeInteger(
  target: Buffer,
  start: number,
  pattern: number,
  prefixMask: number,
  value: number,
): number {
  if (value < prefixMask) {
    target[start] = pattern | value;
    return start + 1;
  }
  target[start] = pattern | prefixMask;
  let at = start + 1;
  let rest = value - prefixMask;
  for (; rest >= 0x80; rest >>>= 7) target[at++] = 0x80 | (rest & 0x7f);
  target[at] = rest;
  return at + 1;
}
