/** Bytes gathered before a write. Fewer and larger writes are most of what a splicing proxy can save. */
const gatherBytes = 256 * 1024;
/** Gather buffers kept for reuse by all connections together. */
const keptBuffers = 12;

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
  readonly #free: Buffer[] = [];

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

  /** A buffer of `gatherBytes`; give it back only when nobody else can still read from it. */
  borrow(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(gatherBytes);
  }

  giveBack(buffer: Buffer): void {
    if (this.#free.length < keptBuffers) this.#free.push(buffer);
  }
}
