/**
 * A field of a header list. Both strings are Latin-1: one character is one octet, so that every octet survives.
 * Fields of the static and the dynamic table are the same objects each time they are referred to, and carry
 * what was found out about them.
 */
export class HeaderField {
  readonly name: string;
  readonly value: string;
  /** Whether the sender wants it to stay out of all tables (RFC 7541 section 6.2.3). */
  readonly neverIndexed: boolean;
  /** Whether it was referred to in a table, so that it is worth keeping what was computed. */
  isRepeated = false;
  /** How `encodeFields` spells it; only kept of repeated fields. */
  encoded: Uint8Array | undefined;
  /** Whether its name and value were found to hold legal octets only. */
  isChecked = false;

  constructor(name: string, value: string, neverIndexed = false) {
    this.name = name;
    this.value = value;
    this.neverIndexed = neverIndexed;
    this.encoded = undefined;
  }

  /** Octets that it counts for in a table and in a header list (RFC 7541 section 4.1, RFC 9113 section 6.5.2). */
  get size(): number {
    return this.name.length + this.value.length + 32;
  }
}
