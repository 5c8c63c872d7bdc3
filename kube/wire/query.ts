/**
 * Query strings as Go's `url.ParseQuery` and apimachinery read them, by scanning the raw text: pairs are
 * separated by "&" alone, a pair with ";" or with broken percent-encoding does not count, and of a repeated
 * parameter the first one decides. Nothing is ever decoded and encoded again, so what is not asked for keeps
 * its bytes.
 */

/** Offset of the first pair at or after `from` (the start of a pair) that names this parameter, or -1. */
export function findParameter(query: string, name: string, from = 0): number {
  for (let start = from; start < query.length; start = pairEnd(query, start) + 1) {
    if (namesParameter(query, start, name)) return start;
  }
  return -1;
}

/** Offset behind the pair that starts here: that of the next "&" or the length. */
export function pairEnd(query: string, start: number): number {
  const end = query.indexOf("&", start);
  return end < 0 ? query.length : end;
}

/** Undecoded value of the pair that starts here; "" when it has none. */
export function rawValueAt(query: string, start: number): string {
  const end = pairEnd(query, start);
  const equals = query.indexOf("=", start);
  return equals < 0 || equals >= end ? "" : query.slice(equals + 1, end);
}

/**
 * Decoded value of a parameter, undefined when absent. Each byte that was percent-encoded becomes one
 * character: right for the ASCII values that decisions depend on, and without loss for others.
 */
export function parameterValue(query: string, name: string): string | undefined {
  const start = findParameter(query, name);
  return start < 0 ? undefined : decodeComponent(rawValueAt(query, start));
}

/**
 * Sets a parameter: every occurrence gets the value, or one is appended.
 *
 * @param escaped value, already escaped for a query
 */
export function withParameter(query: string, name: string, escaped: string): string {
  let start = findParameter(query, name);
  if (start < 0) return `${query}${query === "" ? "" : "&"}${name}=${escaped}`;
  let result = "";
  let copied = 0;
  for (; start >= 0; start = findParameter(query, name, copied + 1)) {
    result += `${query.slice(copied, start)}${name}=${escaped}`;
    copied = pairEnd(query, start);
  }
  return result + query.slice(copied);
}

/** Number of pairs, empty ones included, as Go counts them against its limit. */
export function pairCount(query: string): number {
  let count = 1;
  for (let at = query.indexOf("&"); at >= 0; at = query.indexOf("&", at + 1)) count++;
  return count;
}

/** Decodes "%XX" and "+"; undefined when an encoding is broken. */
export function decodeComponent(text: string): string | undefined {
  if (!text.includes("%")) return text.includes("+") ? text.replaceAll("+", " ") : text;
  let decoded = "";
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === plus) decoded += " ";
    else if (code !== percent) decoded += text.charAt(i);
    else {
      const byte = hexByteAt(text, i + 1);
      if (byte < 0) return undefined;
      decoded += String.fromCharCode(byte);
      i += 2;
    }
  }
  return decoded;
}

const plus = 0x2b;
const percent = 0x25;
const equalsSign = 0x3d;

function namesParameter(query: string, start: number, name: string): boolean {
  const end = pairEnd(query, start);
  if (query.startsWith(name, start)) {
    const next = start + name.length;
    if (next !== end && query.charCodeAt(next) !== equalsSign) return false;
  } else if (!encodesName(query, start, end, name)) return false;
  return isValidPair(query, start, end);
}

function encodesName(query: string, start: number, end: number, name: string): boolean {
  const firstPercent = query.indexOf("%", start);
  if (firstPercent < 0 || firstPercent >= end) return false;
  const equals = query.indexOf("=", start);
  const keyEnd = equals < 0 || equals > end ? end : equals;
  return firstPercent < keyEnd && decodeComponent(query.slice(start, keyEnd)) === name;
}

function isValidPair(query: string, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    const code = query.charCodeAt(i);
    if (code === semicolon || (code === percent && (i + 2 >= end || hexByteAt(query, i + 1) < 0)))
      return false;
  }
  return true;
}

const semicolon = 0x3b;

/** The byte that two hexadecimal digits write, or -1. */
function hexByteAt(text: string, at: number): number {
  const high = hexDigit(text.charCodeAt(at));
  const low = hexDigit(text.charCodeAt(at + 1));
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
