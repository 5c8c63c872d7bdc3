import { HeaderField } from "./hpack-field.ts";

/** RFC 7541 appendix A. */
const rows: readonly (readonly [name: string, value: string])[] = [
  [":authority", ""],
  [":method", "GET"],
  [":method", "POST"],
  [":path", "/"],
  [":path", "/index.html"],
  [":scheme", "http"],
  [":scheme", "https"],
  [":status", "200"],
  [":status", "204"],
  [":status", "206"],
  [":status", "304"],
  [":status", "400"],
  [":status", "404"],
  [":status", "500"],
  ["accept-charset", ""],
  ["accept-encoding", "gzip, deflate"],
  ["accept-language", ""],
  ["accept-ranges", ""],
  ["accept", ""],
  ["access-control-allow-origin", ""],
  ["age", ""],
  ["allow", ""],
  ["authorization", ""],
  ["cache-control", ""],
  ["content-disposition", ""],
  ["content-encoding", ""],
  ["content-language", ""],
  ["content-length", ""],
  ["content-location", ""],
  ["content-range", ""],
  ["content-type", ""],
  ["cookie", ""],
  ["date", ""],
  ["etag", ""],
  ["expect", ""],
  ["expires", ""],
  ["from", ""],
  ["host", ""],
  ["if-match", ""],
  ["if-modified-since", ""],
  ["if-none-match", ""],
  ["if-range", ""],
  ["if-unmodified-since", ""],
  ["last-modified", ""],
  ["link", ""],
  ["location", ""],
  ["max-forwards", ""],
  ["proxy-authenticate", ""],
  ["proxy-authorization", ""],
  ["range", ""],
  ["referer", ""],
  ["refresh", ""],
  ["retry-after", ""],
  ["server", ""],
  ["set-cookie", ""],
  ["strict-transport-security", ""],
  ["transfer-encoding", ""],
  ["user-agent", ""],
  ["vary", ""],
  ["via", ""],
  ["www-authenticate", ""],
];

/** Entries of the static table; index 1 of the wire is the first. */
export const staticFields: readonly HeaderField[] = rows.map(([name, value]) => new HeaderField(name, value));

/** Name to the index (from 1) of the first entry that has it. */
const firstIndexes = new Map<string, number>();
for (const [position, [name]] of rows.entries()) {
  if (!firstIndexes.has(name)) firstIndexes.set(name, position + 1);
}

/** Index of an entry with that name; 0 if there is none. */
export function staticNameIndex(name: string): number {
  return firstIndexes.get(name) ?? 0;
}

/** Index of the entry with that name and value; 0 if there is none. `nameIndex` is `staticNameIndex(name)`. */
export function staticFieldIndex(nameIndex: number, name: string, value: string): number {
  if (nameIndex === 0) return 0;
  // Entries with one name stand together.
  for (let index = nameIndex; staticFields[index - 1]?.name === name; index++) {
    if (staticFields[index - 1]?.value === value) return index;
  }
  return 0;
}
