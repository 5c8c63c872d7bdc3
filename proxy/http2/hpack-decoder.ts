import { ErrorCode } from "./constants.ts";
import { Http2ConnectionError } from "./errors.ts";
import { DynamicTable } from "./hpack-dynamic-table.ts";
import { HeaderField } from "./hpack-field.ts";
import { staticFields } from "./hpack-static-table.ts";
import { decodedCapacity, decodeHuffman } from "./huffman.ts";

export interface HpackDecoderOptions {
  /** Octets of the dynamic table before any change by SETTINGS_HEADER_TABLE_SIZE; 4096 in HTTP/2. */
  readonly maxTableSize: number;
  /** Most octets of a decoded header list, 32 for each field counted in (RFC 9113 section 6.5.2). */
  readonly maxListBytes: number;
}

export interface DecodedHeaders {
  /** In the order of the wire. Empty when too large, so that half a list is never taken for a whole one. */
  readonly fields: HeaderField[];
  /** The list is over its limit. The tables are right all the same: only this one stream has to be refused. */
  readonly isTooLarge: boolean;
}

/** Octets of a Huffman-coded string that are decoded in place; longer ones get memory of their own. */
const scratchBytes = 16 * 1024;
const scratch = Buffer.allocUnsafeSlow(decodedCapacity(scratchBytes));
const noBlock = Buffer.alloc(0);
/** Bits that continuation octets of an integer may add: five octets, as many as 2^31 - 1 needs. */
const integerBitsLimit = 35;

const broken = (what: string): Http2ConnectionError =>
  new Http2ConnectionError(ErrorCode.COMPRESSION_ERROR, `header block: ${what}`);

/**
 * HPACK decoder (RFC 7541) of one direction of one connection. Each block must be given to it, whole and in
 * order, whatever becomes of its stream. After it has thrown, the connection is lost.
 */
export class HpackDecoder {
  readonly #table: DynamicTable;
  readonly #maxListBytes: number;
  #maxTableSize: number;
  /**
   * The lowest limit since the last block, if it is below the table's size: the next block has to begin with a
   * size update that fits it (RFC 9113 section 4.3.1, RFC 7541 section 4.2).
   */
  #owedSize: number | undefined;
  #block: Buffer = noBlock;
  #at = 0;
  #end = 0;

  constructor({ maxTableSize, maxListBytes }: HpackDecoderOptions) {
    this.#table = new DynamicTable(maxTableSize);
    this.#maxTableSize = maxTableSize;
    this.#maxListBytes = maxListBytes;
  }

  /** Sets what SETTINGS_HEADER_TABLE_SIZE allows from now on: call it when the sender of the blocks has acked. */
  setMaxTableSize(octets: number): void {
    this.#maxTableSize = octets;
    if (octets < Math.min(this.#table.maxSize, this.#owedSize ?? Infinity)) this.#owedSize = octets;
  }

  /**
   * Decodes the block that is block[start, end).
   *
   * @throws Http2ConnectionError COMPRESSION_ERROR
   */
  decode(block: Buffer, start: number, end: number): DecodedHeaders {
    this.#block = block;
    this.#at = start;
    this.#end = end;
    this.#readSizeUpdates();
    const fields: HeaderField[] = [];
    let listBytes = 0;
    while (this.#at < end) {
      const field = this.#readField(block[this.#at] ?? 0);
      listBytes += field.size;
      if (listBytes <= this.#maxListBytes) fields.push(field);
    }
    // The block is somebody's read buffer.
    this.#block = noBlock;
    const isTooLarge = listBytes > this.#maxListBytes;
    return { fields: isTooLarge ? [] : fields, isTooLarge };
  }

  #readSizeUpdates(): void {
    while (this.#at < this.#end && ((this.#block[this.#at] ?? 0) & 0xe0) === 0x20) {
      const octets = this.#readInteger(0x1f);
      const allowed = this.#owedSize ?? this.#maxTableSize;
      if (octets > allowed) {
        throw broken(`it sets the dynamic table to ${octets} octets where ${allowed} are allowed`);
      }
      this.#table.maxSize = octets;
      this.#owedSize = undefined;
    }
    if (this.#owedSize !== undefined)
      throw broken("it does not begin with the size update that a lower limit asks for");
  }

  /** One representation (section 6) that begins with the octet `first`. */
  #readField(first: number): HeaderField {
    if ((first & 0x80) !== 0) return this.#fieldAt(this.#readInteger(0x7f));
    if ((first & 0x40) !== 0) {
      const field = this.#readLiteral(0x3f, false);
      this.#table.add(field);
      return field;
    }
    if ((first & 0x20) !== 0) throw broken("it changes the dynamic table's size behind its first field");
    return this.#readLiteral(0x0f, (first & 0x10) !== 0);
  }

  #readLiteral(prefixMask: number, neverIndexed: boolean): HeaderField {
    const index = this.#readInteger(prefixMask);
    const name = index === 0 ? this.#readString() : this.#fieldAt(index).name;
    return new HeaderField(name, this.#readString(), neverIndexed);
  }

  #fieldAt(index: number): HeaderField {
    const field =
      index <= staticFields.length
        ? staticFields[index - 1]
        : this.#table.at(index - staticFields.length - 1);
    if (field === undefined) throw broken(`it refers to entry ${index}, which does not exist`);
    field.isRepeated = true;
    return field;
  }

  /** Section 5.1; `prefixMask` has the bits of the first octet that belong to the integer. */
  #readInteger(prefixMask: number): number {
    const prefix = (this.#block[this.#at++] ?? 0) & prefixMask;
    return prefix < prefixMask ? prefix : this.#readContinuation(prefix);
  }

  #readContinuation(prefix: number): number {
    let value = prefix;
    for (let shift = 0; shift < integerBitsLimit; shift += 7) {
      if (this.#at === this.#end) throw broken("it ends inside an integer");
      const octet = this.#block[this.#at++] ?? 0;
      value += (octet & 0x7f) * 2 ** shift;
      if (octet < 0x80) {
        if (value >= 2 ** 31) break;
        return value;
      }
    }
    throw broken("an integer is too large");
  }

  /** Section 5.2. */
  #readString(): string {
    if (this.#at === this.#end) throw broken("it ends before a string");
    const isCoded = (this.#block[this.#at] ?? 0) >= 0x80;
    const length = this.#readInteger(0x7f);
    const start = this.#at;
    if (length > this.#end - start) throw broken("it ends inside a string");
    this.#at = start + length;
    if (!isCoded) return this.#block.toString("latin1", start, this.#at);
    const target = length <= scratchBytes ? scratch : Buffer.allocUnsafe(decodedCapacity(length));
    const count = decodeHuffman(this.#block, start, this.#at, target);
    if (count < 0) throw broken("a string is not a valid Huffman code");
    return target.toString("latin1", 0, count);
  }
}
