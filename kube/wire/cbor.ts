/** What our own answers hold; numbers are unsigned integers below 2^32. */
type CborValue = string | number | CborMap;
export interface CborMap {
  readonly [key: string]: CborValue | undefined;
}

const utf8 = new TextEncoder();
/** Tag 55799, "self-described CBOR" (RFC 8949 section 3.4.6): begins every object that Kubernetes sends. */
const selfDescribed = Uint8Array.of(0xd9, 0xd9, 0xf7);

/**
 * Encodes an object the way apimachinery does: behind the self-described tag, strings as byte strings, map
 * keys by length and then by bytes. Members that are undefined are left out.
 */
export function cborObject(map: CborMap): Uint8Array {
  return cborEnvelope(encodedMembers(map));
}

/** The same for members that are encoded already. */
export function cborEnvelope(members: Readonly<Record<string, Uint8Array>>): Uint8Array {
  return Buffer.concat([selfDescribed, cborMap(members)]);
}

export function cborString(text: string): Uint8Array {
  const bytes = utf8.encode(text);
  return Buffer.concat([head(0x40, bytes.length), bytes]);
}

function encodedMembers(map: CborMap): Record<string, Uint8Array> {
  const members: Record<string, Uint8Array> = {};
  for (const [key, value] of Object.entries(map)) if (value !== undefined) members[key] = cborValue(value);
  return members;
}

function cborValue(value: CborValue): Uint8Array {
  if (typeof value === "string") return cborString(value);
  return typeof value === "number" ? head(0x00, value) : cborMap(encodedMembers(value));
}

function cborMap(members: Readonly<Record<string, Uint8Array>>): Uint8Array {
  const sorted = Object.entries(members).sort(([a], [b]) => a.length - b.length || (a < b ? -1 : 1));
  const parts = sorted.flatMap(([key, value]) => [cborString(key), value]);
  return Buffer.concat([head(0xa0, sorted.length), ...parts]);
}

function head(major: number, value: number): Uint8Array {
  if (value < 24) return Uint8Array.of(major | value);
  if (value < 0x100) return Uint8Array.of(major | 24, value);
  if (value < 0x10000) return Uint8Array.of(major | 25, value >>> 8, value & 0xff);
  return Uint8Array.of(major | 26, value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff);
}
