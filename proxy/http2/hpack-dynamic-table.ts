import type { HeaderField } from "./hpack-field.ts";

const firstCapacity = 16;

/** The dynamic table of one direction of one connection (RFC 7541 sections 2.3.2 and 4), as a ring. */
export class DynamicTable {
  /** A power of two long. */
  #ring: (HeaderField | undefined)[] = new Array(firstCapacity).fill(undefined);
  /** Place of the newest entry. */
  #newest = 0;
  #count = 0;
  #size = 0;
  #maxSize: number;

  constructor(maxSize: number) {
    this.#maxSize = maxSize;
  }

  /** Most octets that the entries may have, as the sender last said. */
  get maxSize(): number {
    return this.#maxSize;
  }

  set maxSize(octets: number) {
    this.#maxSize = octets;
    this.#evictTo(octets);
  }

  /** The entry with that number, 0 being the newest. */
  at(number: number): HeaderField | undefined {
    return number < this.#count ? this.#ring[(this.#newest - number) & (this.#ring.length - 1)] : undefined;
  }

  /** Adds an entry, which drops the oldest; one that is larger than the whole table only empties it (section 4.4). */
  add(field: HeaderField): void {
    const { size } = field;
    this.#evictTo(this.#maxSize - size);
    if (size > this.#maxSize) return;
    if (this.#count === this.#ring.length) this.#grow();
    this.#newest = (this.#newest + 1) & (this.#ring.length - 1);
    this.#ring[this.#newest] = field;
    this.#count++;
    this.#size += size;
  }

  #evictTo(size: number): void {
    while (this.#count > 0 && this.#size > size) {
      const oldest = (this.#newest - --this.#count) & (this.#ring.length - 1);
      this.#size -= this.#ring[oldest]?.size ?? 0;
      this.#ring[oldest] = undefined;
    }
  }

  #grow(): void {
    const { length } = this.#ring;
    const ring = new Array<HeaderField | undefined>(2 * length).fill(undefined);
    for (let number = 0; number < this.#count; number++) ring[length - 1 - number] = this.at(number);
    this.#ring = ring;
    this.#newest = length - 1;
  }
}
