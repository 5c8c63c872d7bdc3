/** Bytes of HTTP/1.1 grammar (RFC 9110 section 5.6, RFC 9112), as tables: one load per byte, no regex. */
export const CR = 13;
export const LF = 10;
export const SP = 32;
export const HTAB = 9;
export const COLON = 58;
export const SEMICOLON = 59;

function table(isMember: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (isMember(byte) ? 1 : 0));
}

const tokenMarks = new Set([..."!#$%&'*+-.^_`|~"].map((mark) => mark.charCodeAt(0)));

const isDigit = (byte: number) => byte >= 48 && byte <= 57;
const isLetter = (byte: number) => (byte >= 65 && byte <= 90) || (byte >= 97 && byte <= 122);

/** tchar: methods and field names. */
export const tokenBytes = table((byte) => isDigit(byte) || isLetter(byte) || tokenMarks.has(byte));

/**
 * Request targets: visible ASCII without "#". A fragment never belongs on the wire, and a raw byte above
 * 0x7e could be read in two ways by two parsers, so both are refused instead of guessed at.
 */
export const targetBytes = table((byte) => byte > 32 && byte < 127 && byte !== 35);

/** Field values of requests: HTAB, SP, VCHAR and obs-text; no other control character. */
export const requestValueBytes = table((byte) => byte === HTAB || (byte >= 32 && byte !== 127));

/**
 * Field values of responses: all but NUL, CR and LF. They pass to the client untouched, so only what could
 * move the end of the head matters here.
 */
export const responseValueBytes = table((byte) => byte !== 0 && byte !== CR && byte !== LF);

/** Value of a hexadecimal digit, or -1. */
export function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const lower = byte | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}

/** Whether bytes[start, end) spell `lower` (lower-case ASCII), ignoring case. The range holds token bytes only. */
export function isSpelled(bytes: Uint8Array, start: number, end: number, lower: string): boolean {
  if (end - start !== lower.length) return false;
  for (let index = 0; index < lower.length; index++) {
    const byte = bytes[start + index] ?? 0;
    const folded = byte >= 65 && byte <= 90 ? byte | 32 : byte;
    if (folded !== lower.charCodeAt(index)) return false;
  }
  return true;
}

/** Whether `text` (ASCII) stands at bytes[start, end), letter by letter. */
export function isExactly(bytes: Uint8Array, start: number, end: number, text: string): boolean {
  if (end - start !== text.length) return false;
  for (let index = 0; index < text.length; index++) {
    if (bytes[start + index] !== text.charCodeAt(index)) return false;
  }
  return true;
}

/** Characters of a text that is kept for comparison. */
const keptCharacters = 256;

/**
 * Strings of one field on one connection, which are the same from message to message: comparing them costs a fraction
 * of making a string anew.
 */
export class RepeatedText {
  #latest = "";

  /** bytes[start, end) as Latin-1 characters. */
  read(bytes: Buffer, start: number, end: number): string {
    if (isExactly(bytes, start, end, this.#latest)) return this.#latest;
    const text = bytes.toString("latin1", start, end);
    if (text.length <= keptCharacters) this.#latest = text;
    return text;
  }
}
