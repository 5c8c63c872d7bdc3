import { type Encoding, encodingOfContentType } from "#kube/wire/media-type";
import type { KubernetesStatus } from "#kube/wire/status";
import { encodeWatchError, WatchFrames } from "#kube/wire/watch-frames";
import type { Outlet } from "../transport/outlet.ts";

/** What an answer's head tells about its body. */
export interface AnswerHead {
  readonly status: number;
  readonly contentType: string | undefined;
  readonly contentEncoding: string | undefined;
  /** Whether the body may end anywhere: no Content-Length stands against it. */
  readonly isStreamed: boolean;
}

/**
 * Follows the events of one open watch, so that it can be ended between two of them. Undefined for answers
 * whose events can't be followed (of a given length, compressed, unknown encoding): those can only be destroyed.
 */
export class WatchEvents {
  readonly #encoding: Encoding;
  readonly #frames: WatchFrames;

  private constructor(encoding: Encoding) {
    this.#encoding = encoding;
    this.#frames = new WatchFrames(encoding);
  }

  static of(head: AnswerHead): WatchEvents | undefined {
    const isPlain = head.contentEncoding === undefined || head.contentEncoding === "identity";
    if (head.status !== 200 || !head.isStreamed || !isPlain) return undefined;
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

  /** One ERROR event with this status, framed like the others. Only between two events. */
  errorEvent(status: KubernetesStatus): Uint8Array {
    return encodeWatchError(status, this.#encoding);
  }
}

/** Puts the end of a chunked body: an event in a chunk of its own when there is one, then the last chunk. */
export function putChunkedEnd(outlet: Outlet, event: Uint8Array | undefined): void {
  if (event !== undefined) {
    outlet.putText(`${event.length.toString(16)}\r\n`);
    outlet.put(event, 0, event.length);
    outlet.putText("\r\n");
  }
  outlet.putText("0\r\n\r\n");
}
