import { type Encoding, encodingOfContentType } from "#kube/wire/media-type";
import type { KubernetesStatus } from "#kube/wire/status";
import { encodeWatchError, WatchFrames } from "#kube/wire/watch-frames";
import type { Outlet } from "../http1/outlet.ts";
import type { ResponseHead } from "../http1/response-head.ts";

/**
 * Follows the events of one open watch, so that it can be ended between two of them. Undefined for answers
 * whose events can't be followed (not chunked, compressed, unknown encoding): those can only be destroyed.
 */
export class WatchEvents {
  readonly #encoding: Encoding;
  readonly #frames: WatchFrames;

  private constructor(encoding: Encoding) {
    this.#encoding = encoding;
    this.#frames = new WatchFrames(encoding);
  }

  static of(head: ResponseHead): WatchEvents | undefined {
    const isPlain = head.contentEncoding === undefined || head.contentEncoding === "identity";
    if (head.status !== 200 || !head.isChunked || !isPlain) return undefined;
    const encoding = encodingOfContentType(head.contentType ?? "");
    return encoding === undefined ? undefined : new WatchEvents(encoding);
  }

  push(bytes: Buffer, start: number, end: number): void {
    this.#frames.push(bytes, start, end);
  }

  /** Whether all events so far are whole. */
  get isBetweenEvents(): boolean {
    return this.#frames.atBoundary;
  }

  /**
   * Puts the end of the body: an ERROR event in a chunk of its own when there is a status, then the last chunk.
   * Only between two events and between two chunks.
   */
  putEnd(outlet: Outlet, status: KubernetesStatus | undefined): void {
    if (status !== undefined) {
      const event = encodeWatchError(status, this.#encoding);
      outlet.putText(`${event.length.toString(16)}\r\n`);
      outlet.put(event, 0, event.length);
      outlet.putText("\r\n");
    }
    outlet.putText("0\r\n\r\n");
  }
}
