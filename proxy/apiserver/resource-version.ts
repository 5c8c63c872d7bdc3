/** A resourceVersion or continue token of a request, compared as decimal numbers of any length. */

/** Whether a text is a number as the API server reads resourceVersions: decimal digits alone. */
export function isDecimal(text: string): boolean {
  if (text === "") return false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x30 || code > 0x39) return false;
  }
  return true;
}

/** Whether a decimal number is smaller than another; leading zeros do not count. */
export function isBelow(left: string, right: string): boolean {
  const a = withoutLeadingZeros(left);
  const b = withoutLeadingZeros(right);
  return a.length === b.length ? a < b : a.length < b.length;
}

/** Whether it is a number of zeros alone: "any state", not a state to go on from. */
export function isZero(text: string): boolean {
  return isDecimal(text) && withoutLeadingZeros(text) === "";
}

/** The number behind a decimal one. */
export function nextVersion(version: string): string {
  return (BigInt(version) + 1n).toString();
}

function withoutLeadingZeros(text: string): string {
  let start = 0;
  while (text.charCodeAt(start) === 0x30) start++;
  return start === 0 ? text : text.slice(start);
}

/**
 * The resourceVersion in a `continue` token (apiserver `pkg/storage/continue.go`: base64url of JSON with member
 * "rv"); "0" for the negative one of a list that goes on inconsistently. Undefined for a token that is none:
 * the API server refuses it.
 */
export function continuedResourceVersion(token: string): string | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(Buffer.from(token, "base64url").toString("utf8"));
  } catch {
    return undefined;
  }
  if (typeof parsed !== "object" || parsed === null) return undefined;
  let version: number | undefined;
  // Go matches member names without regard to case, and the last one counts.
  for (const [name, value] of Object.entries(parsed)) {
    if (name.toLowerCase() === "rv" && typeof value === "number") version = value;
  }
  if (version === undefined || !Number.isInteger(version)) return undefined;
  return version < 0 ? "0" : BigInt(version).toString();
}
