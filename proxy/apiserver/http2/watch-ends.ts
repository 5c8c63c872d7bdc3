import { ErrorCode } from "../../http2/constants.ts";
import { rstStreamFrame } from "../../http2/frame-writer.ts";
import { type ConnectionDeps, watchEndMs } from "../client-connection.ts";
import type { Link } from "./link.ts";
import type { LocalAnswers } from "./local-answers.ts";
import type { Http2Stream } from "./stream.ts";

interface WatchEndDeps extends Pick<ConnectionDeps, "clock" | "counters"> {
  readonly link: Link;
  readonly answers: LocalAnswers;
  /** Whether a DATA frame of this stream has begun and not ended. */
  isInside(stream: Http2Stream): boolean;
}

/** Watches of one connection that are to end: each at a place between two events, with room for what ends it. */
export class WatchEnds {
  readonly #deps: WatchEndDeps;
  readonly #streams = new Set<Http2Stream>();

  constructor(deps: WatchEndDeps) {
    this.#deps = deps;
  }

  /** Ends the watch at once if it can be, else when that is so; after `watchEndMs` it is cut. */
  add(stream: Http2Stream): void {
    if (stream.exchange === undefined) return;
    this.#streams.add(stream);
    stream.timer ??= this.#deps.clock.timer(watchEndMs, () => stream.exchange?.destroy());
    this.tryEnd(stream);
  }

  remove(stream: Http2Stream): void {
    if (this.#streams.delete(stream)) stream.stopTimer();
  }

  /** The client takes more on this stream, or undefined: on the connection. */
  windowOpened(stream: Http2Stream | undefined): void {
    if (this.#streams.size === 0) return;
    for (const each of this.#streams) if (stream === undefined || stream === each) this.tryEnd(each);
  }

  tryEnd(stream: Http2Stream): void {
    const { exchange } = stream;
    if (exchange?.watchEnd === undefined) return;
    const events = exchange.endableEvents;
    if (events === "never") {
      exchange.destroy();
      return;
    }
    const { link, answers, counters, isInside } = this.#deps;
    if (events === "not yet" || isInside(stream)) return;
    const { status } = exchange.watchEnd;
    const event = status === undefined ? new Uint8Array() : events.errorEvent(status);
    // An empty frame needs no room, not even where a client's settings took more than there was.
    if (event.length > Math.max(0, stream.window) || !answers.putEnd(stream.id, event)) return;
    if (status === undefined) counters.watchesEnded++;
    else counters.watchesExpired++;
    link.toUpstream.insert(rstStreamFrame(stream.upstreamId, ErrorCode.CANCEL));
    link.forget(stream, true);
  }
}
