import { COLON, HTAB, isSpelled, SP, tokenBytes } from "./characters.ts";

/**
 * One field line, as offsets into the buffer that it stands in. The parser fills one record over and over, so
 * that a header which nobody reads costs no allocation.
 */
export interface FieldLine {
  nameStart: number;
  nameEnd: number;
  /** Without surrounding blanks. */
  valueStart: number;
  valueEnd: number;
}

export function createFieldLine(): FieldLine {
  return { nameStart: 0, nameEnd: 0, valueStart: 0, valueEnd: 0 };
}

/**
 * Splits `bytes[start, end)` (a line without its CR LF) into name and value.
 *
 * @param allowed table of the bytes that a value may hold
 * @returns undefined when well formed, else what is wrong (RFC 9112 section 5: no blank before the colon, no
 * folded line, a token as name)
 */
export function parseFieldLine(
  bytes: Uint8Array,
  start: number,
  end: number,
  allowed: Uint8Array,
  line: FieldLine,
): string | undefined {
  const first = bytes[start];
  if (first === SP || first === HTAB) return "a header line starts with a blank (obsolete line folding)";
  let at = start;
  while (at < end && tokenBytes[bytes[at] ?? 0] === 1) at++;
  if (at === start) return "a header has no name";
  if (at === end) return "a header line has no colon";
  const stop = bytes[at];
  if (stop === SP || stop === HTAB) return "there is a blank between a header's name and its colon";
  if (stop !== COLON) return "a header's name holds a byte that is not allowed there";
  line.nameStart = start;
  line.nameEnd = at++;
  while (at < end && (bytes[at] === SP || bytes[at] === HTAB)) at++;
  line.valueStart = at;
  while (at < end && allowed[bytes[at] ?? 0] === 1) at++;
  if (at < end) return "a header's value holds a control character";
  while (at > line.valueStart && (bytes[at - 1] === SP || bytes[at - 1] === HTAB)) at--;
  line.valueEnd = at;
  return undefined;
}

/** Whether the field's name is `lower` (given in lower case). */
export function isNamed(bytes: Uint8Array, line: FieldLine, lower: string): boolean {
  return isSpelled(bytes, line.nameStart, line.nameEnd, lower);
}

/** The value as a string of Latin-1 characters. */
export function textOf(bytes: Buffer, line: FieldLine): string {
  return bytes.toString("latin1", line.valueStart, line.valueEnd);
}

/**
 * A Content-Length.
 *
 * @returns octets, or undefined unless it is 1 to 15 digits (15 digits are below 2^53, so no count is ever rounded)
 */
export function lengthOf(bytes: Uint8Array, line: FieldLine): number | undefined {
  const digits = line.valueEnd - line.valueStart;
  if (digits < 1 || digits > 15) return undefined;
  let total = 0;
  for (let at = line.valueStart; at < line.valueEnd; at++) {
    const digit = (bytes[at] ?? 0) - 48;
    if (digit < 0 || digit > 9) return undefined;
    total = total * 10 + digit;
  }
  return total;
}

/**
 * Whether a comma-separated list (Connection, Upgrade) has the member, ignoring case. Only SP and HTAB are
 * blanks between members: `trim` would take more away, and then a member would be there for us alone.
 */
export function hasMember(list: string, member: string): boolean {
  return list
    .toLowerCase()
    .split(",")
    .some((part) => withoutBlanks(part) === member);
}

function withoutBlanks(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

const isBlank = (character: number): boolean => character === SP || character === HTAB;
