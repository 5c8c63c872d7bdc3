import { defaultInitialWindowSize } from "../../http2/constants.ts";
import { WithheldUpdates } from "./withheld-updates.ts";

/**
 * The client's connection window (RFC 9113 section 6.9), as the client counts it. The API server counts another one:
 * it knows nothing of the octets that the proxy sent on its own. So the proxy keeps back as much of the client's
 * updates as it used up itself, and until then holds what would be too much.
 */
export class ClientFlow {
  /** Octets that the client still takes, over all streams. */
  window = defaultInitialWindowSize;
  /** What a new stream begins with. */
  initialStreamWindow = defaultInitialWindowSize;
  #own = 0;
  readonly #withheld = new WithheldUpdates(defaultInitialWindowSize);
  #ackedInitial = defaultInitialWindowSize;
  /** What the client's SETTINGS say of new streams that are not acknowledged yet; undefined: nothing. */
  readonly #unacked: (number | undefined)[] = [];

  /** Counts octets of the proxy's own. */
  spendOwn(octets: number): void {
    this.window -= octets;
    this.#own += octets;
  }

  /** Whether a DATA frame from the API server has to wait for the client. Without octets of our own it never has. */
  mustHold(octets: number): boolean {
    return this.#own > 0 && octets > this.window;
  }

  /** The client takes more. */
  extend(octets: number): void {
    this.window += octets;
    const kept = Math.min(this.#own, octets);
    this.#own -= kept;
    this.#withheld.add(octets - kept, this.#windowForUpstream);
  }

  /** Octets that the API server is to hear of now; 0: none. */
  due(): number {
    return this.#withheld.due(this.#windowForUpstream);
  }

  /** What the API server may count on, once it has heard of everything. */
  get #windowForUpstream(): number {
    return this.window + this.#own;
  }

  /**
   * SETTINGS of the client passed, whose initial window is `size`, undefined: not named. Less room counts at once, more
   * when the client has seen that it is known: until then either may hold (RFC 9113 section 6.5.3).
   *
   * @returns by how much the windows of open streams change
   */
  initialWindowSent(size: number | undefined): number {
    this.#unacked.push(size);
    return this.#settle();
  }

  /** The client's oldest SETTINGS are acknowledged. @returns by how much the windows of open streams change */
  settingsAcked(): number {
    this.#ackedInitial = this.#unacked.shift() ?? this.#ackedInitial;
    return this.#settle();
  }

  #settle(): number {
    const previous = this.initialStreamWindow;
    let least = this.#ackedInitial;
    for (const size of this.#unacked) if (size !== undefined && size < least) least = size;
    this.initialStreamWindow = least;
    return least - previous;
  }
}
