const firstCapacityBytes = 4096;

/** Bytes that wait for the rest of their head. Doubles as it grows, so that one byte at a time stays linear. */
export class GrowingBytes {
  #storage: Buffer | undefined;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** The bytes kept, valid until the next call of any method. */
  get view(): Buffer {
    return this.#storage === undefined ? Buffer.alloc(0) : this.#storage.subarray(0, this.#length);
  }

  /** Copies bytes[start, end) behind what is kept. */
  append(bytes: Buffer, start: number, end: number): void {
    const length = this.#length + end - start;
    if (this.#storage === undefined || this.#storage.length < length) {
      let capacity = firstCapacityBytes;
      while (capacity < length) capacity *= 2;
      const storage = Buffer.allocUnsafeSlow(capacity);
      this.#storage?.copy(storage, 0, 0, this.#length);
      this.#storage = storage;
    }
    bytes.copy(this.#storage, this.#length, start, end);
    this.#length = length;
  }

  /** Hands the bytes over and forgets them, memory included: an idle connection keeps no buffer. */
  detach(): Buffer {
    const view = this.view;
    this.#storage = undefined;
    this.#length = 0;
    return view;
  }
}
