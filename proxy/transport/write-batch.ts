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
/** Connections that may read into what they gather at one time; each keeps a large buffer from one read to the next. */
const landingLimit = 4;

interface Flushable {
  flush(): void;
}

/** A buffer that is gathered into, and goes back to those that are free when the last of its holders lets go. */
export class GatherBuffer {
  readonly bytes: Buffer;
  readonly #batch: WriteBatch;
  #holders = 0;

  constructor(bytes: Buffer, batch: WriteBatch) {
    this.bytes = bytes;
    this.#batch = batch;
  }

  hold(): this {
    this.#holders++;
    return this;
  }

  release(): void {
    if (--this.#holders === 0) this.#batch.giveBack(this);
  }
}

/**
 * Writes of all connections of a listener: what one turn of the event loop gathers goes out at its end, so
 * that a response which was decrypted in 16 KiB pieces is encrypted and sent in one. There is no flush timer:
 * an event waits for the end of its turn and never longer.
 */
export class WriteBatch {
  #dirty: Flushable[] = [];
  #isScheduled = false;
  readonly #large: GatherBuffer[] = [];
  readonly #small: GatherBuffer[] = [];
  #landings = 0;

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

  /** A buffer with room for `bytes`, or the largest there is, with one holder. */
  borrow(bytes: number): GatherBuffer {
    const [free, size] = bytes <= smallBytes ? [this.#small, smallBytes] : [this.#large, largeBytes];
    return (free.pop() ?? new GatherBuffer(Buffer.allocUnsafeSlow(size), this)).hold();
  }

  giveBack(buffer: GatherBuffer): void {
    const [free, kept] =
      buffer.bytes.length === smallBytes ? [this.#small, keptSmall] : [this.#large, keptLarge];
    if (free.length < kept) free.push(buffer);
  }

  /** Whether one more connection may read into what it gathers; if so, call `endLanding` when it does not any more. */
  beginLanding(): boolean {
    if (this.#landings === landingLimit) return false;
    this.#landings++;
    return true;
  }

  endLanding(): void {
    this.#landings--;
  }
}
