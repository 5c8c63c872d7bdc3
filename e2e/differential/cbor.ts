/**
 * CBOR as text in which the order of members means nothing: the API server writes the members of each map in
 * random order on purpose (fxamacker/cbor `SortFastShuffle`). Everything else shows: byte strings, which it takes
 * for text, plainly, text strings with a "text" before them, and each item of a sequence on a line of its own.
 *
 * @throws Error for what RFC 8949 allows and the API server does not write (indefinite lengths)
 */
export function cborAsText(bytes: Buffer): string {
  const reader = new Reader(bytes);
  const lines: string[] = [];
  while (!reader.isAtEnd) lines.push(reader.item());
  return lines.map((line) => `${line}\n`).join("");
}

class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  item(): string {
    const initial = this.#bytes.readUInt8(this.#at++);
    const major = initial >> 5;
    if (major === 7) return this.#simple(initial & 31);
    const value = this.#argument(initial & 31);
    switch (major) {
      case 0:
        return String(value);
      case 1:
        return String(-1n - value);
      case 2:
        return JSON.stringify(this.#take(Number(value)).toString());
      case 3:
        return `text${JSON.stringify(this.#take(Number(value)).toString())}`;
      case 4:
        return `[${Array.from({ length: Number(value) }, () => this.item()).join(",")}]`;
      case 5:
        return `{${Array.from({ length: Number(value) }, () => `${this.item()}:${this.item()}`)
          .sort()
          .join(",")}}`;
      default:
        // The self-described tag only marks the whole as CBOR.
        return value === 55799n ? this.item() : `tag ${value} ${this.item()}`;
    }
  }

  #argument(additional: number): bigint {
    if (additional < 24) return BigInt(additional);
    const width = 1 << (additional - 24);
    if (width > 8) throw new Error(`an indefinite length at ${this.#at}`);
    return BigInt(`0x${this.#take(width).toString("hex")}`);
  }

  #simple(additional: number): string {
    if (additional === 20) return "false";
    if (additional === 21) return "true";
    if (additional === 22) return "null";
    if (additional === 27) return String(this.#take(8).readDoubleBE());
    throw new Error(`simple value ${additional} at ${this.#at}`);
  }

  #take(length: number): Buffer {
    const start = this.#at;
    this.#at += length;
    if (this.#at > this.#bytes.length) throw new Error(`the end of the bytes inside of the item at ${start}`);
    return this.#bytes.subarray(start, this.#at);
  }
}
