/** Bytes gathered before a write. Fewer and larger writes are most of what a splicing proxy can save. */
const largeBytes = 256 * 1024;
/**
 * What is gathered at first: a request, an event, a small answer. When hundreds of watches have an event in one turn,
 * a large buffer for each would be memory that is mapped and unmapped with each event.
 */
export const smallBytes = 8 * 1024;
/** Buffers kept for reuse by all connections together. */
const keptLarge = 12;
const keptSmall = 64;

interface Flushable {
  flush(): void;
}

/**
 * Writes of all connections of a listener: what one turn of the event loop gathers goes out at its end, so
 * that a response which was decrypted in 16 KiB pieces is encrypted and sent in one. There is no flush timer:
 * an event waits for the end of its turn and never longer.
 */
export class WriteBatch {
  #dirty: Flushable[] = [];
  #isScheduled = false;
  readonly #large: Buffer[] = [];
  readonly #small: Buffer[] = [];

  /** Flushes the outlet at the end of this turn. */
  schedule(outlet: Flushable): void {
    this.#dirty.push(outlet);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => this.#flushAll());
  }

  #flushAll(): void {
    this.#isScheduled = false;
    const dirty = this.#dirty;
    this.#dirty = [];
    for (const outlet of dirty) outlet.flush();
  }

  /** A buffer with room for `bytes`, or the largest there is; give it back only when nobody else reads from it. */
  borrow(bytes: number): Buffer {
    return bytes <= smallBytes
      ? (this.#small.pop() ?? Buffer.allocUnsafeSlow(smallBytes))
      : (this.#large.pop() ?? Buffer.allocUnsafeSlow(largeBytes));
  }

  giveBack(buffer: Buffer): void {
    const [free, kept] = buffer.length === smallBytes ? [this.#small, keptSmall] : [this.#large, keptLarge];
    if (free.length < kept) free.push(buffer);
  }
}
