/** Thrown for an item of which bytes are missing: more may come. */
class Unfinished extends Error {}

/**
 * Reads the first item of a CBOR sequence (RFC 8742) as `JSON.parse` would give it; byte strings are text, as the API
 * server writes them. Undefined while bytes of it are missing.
 *
 * @throws Error for what RFC 8949 allows and the API server does not write (indefinite lengths, half floats)
 */
export function firstCborItem(bytes: Buffer): { readonly value: unknown; readonly end: number } | undefined {
  const reader = new Reader(bytes);
  try {
    return { value: reader.item(), end: reader.at };
  } catch (error) {
    if (error instanceof Unfinished) return undefined;
    throw error;
  }
}

class Reader {
  readonly #bytes: Buffer;
  at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  item(): unknown {
    const initial = this.#take(1).readUInt8();
    const [major, info] = [initial >> 5, initial & 31];
    if (major === 7) return this.#simple(info);
    const value = this.#argument(info);
    switch (major) {
      case 0:
        return value;
      case 1:
        return -1 - value;
      case 2:
      case 3:
        return this.#take(value).toString("utf8");
      case 4:
        return Array.from({ length: value }, () => this.item());
      case 5:
        return Object.fromEntries(Array.from({ length: value }, () => [String(this.item()), this.item()]));
      default:
        // A tag, such as the one in front of each document.
        return this.item();
    }
  }

  #argument(info: number): number {
    if (info < 24) return info;
    const octets = [1, 2, 4, 8][info - 24];
    if (octets === undefined) throw new Error(`a length of kind ${info} is not expected here`);
    const bytes = this.#take(octets);
    return octets === 8 ? Number(bytes.readBigUInt64BE()) : bytes.readUIntBE(0, octets);
  }

  #simple(info: number): unknown {
    switch (info) {
      case 20:
      case 21:
        return info === 21;
      case 22:
      case 23:
        return null;
      case 26:
        return this.#take(4).readFloatBE();
      case 27:
        return this.#take(8).readDoubleBE();
      default:
        throw new Error(`the simple value ${info} is not expected here`);
    }
  }

  #take(length: number): Buffer {
    const end = this.at + length;
    if (end > this.#bytes.length) throw new Unfinished();
    const bytes = this.#bytes.subarray(this.at, end);
    this.at = end;
    return bytes;
  }
}
