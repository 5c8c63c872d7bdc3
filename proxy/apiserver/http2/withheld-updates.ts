/**
 * Part of its full size below which a window, as the API server knows it, is told of what the client gave. Clients give
 * after each read; passing every update on would cost a write for each, more than the content that it pays for.
 */
const toldBelow = 0.75;

/**
 * What a client gave of a window and the API server was not told of yet (RFC 9113 section 6.9.1 leaves the moment to
 * the receiver). The API server always knows of three quarters of the window or of all that there is.
 */
export class WithheldUpdates {
  #octets = 0;
  #full: number;

  /** @param full the window's size when nothing of it is used */
  constructor(full: number) {
    this.#full = full;
  }

  /** The client gave `octets`, which makes the window `window`. */
  add(octets: number, window: number): void {
    this.#octets += octets;
    if (window > this.#full) this.#full = window;
  }

  /** Octets to tell the API server of now that the window is `window`; 0: nothing. They are then told. */
  due(window: number): number {
    if (this.#octets === 0 || window - this.#octets >= this.#full * toldBelow) return 0;
    return this.all();
  }

  /** All that was kept back; it is then told. */
  all(): number {
    const octets = this.#octets;
    this.#octets = 0;
    return octets;
  }
}
