import { defaultInitialWindowSize, ErrorCode } from "../http2/constants.ts";
import { Http2ConnectionError } from "../http2/errors.ts";

/** Largest window that there can be, in octets (RFC 9113 section 6.9.1). */
const maxWindow = 2 ** 31 - 1;

/** How much content the server takes, on the connection and on the one stream (RFC 9113 section 6.9). */
export class SendWindow {
  #connection = defaultInitialWindowSize;
  #stream = defaultInitialWindowSize;
  #initialStream = defaultInitialWindowSize;

  /** Octets of content that may go out now. */
  get available(): number {
    return Math.max(0, Math.min(this.#connection, this.#stream));
  }

  spend(octets: number): void {
    this.#connection -= octets;
    this.#stream -= octets;
  }

  /**
   * A WINDOW_UPDATE came.
   *
   * @throws Http2ConnectionError PROTOCOL_ERROR, FLOW_CONTROL_ERROR
   */
  extend(which: "connection" | "stream", octets: number): void {
    if (octets === 0) throw new Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE by 0 octets");
    if (which === "connection") this.#connection = grown(this.#connection, octets);
    else this.#stream = grown(this.#stream, octets);
  }

  /**
   * The server's SETTINGS changed what streams begin with: an open one's window moves with it and may get below
   * zero (section 6.9.2).
   *
   * @throws Http2ConnectionError FLOW_CONTROL_ERROR
   */
  setInitialStream(octets: number): void {
    this.#stream = grown(this.#stream, octets - this.#initialStream);
    this.#initialStream = octets;
  }
}

function grown(window: number, octets: number): number {
  if (window + octets <= maxWindow) return window + octets;
  throw new Http2ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "a window grows beyond 2^31 - 1 octets");
}
