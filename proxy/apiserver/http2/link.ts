import type { FrameOutlet } from "../../http2/frame-outlet.ts";
import { windowUpdateFrame } from "../../http2/frame-writer.ts";
import type { ClientFlow } from "./flow.ts";
import type { Http2Stream, StreamTable } from "./stream.ts";

/** What both directions of one connection share. */
export interface Link {
  readonly streams: StreamTable;
  readonly toClient: FrameOutlet;
  readonly toUpstream: FrameOutlet;
  readonly flow: ClientFlow;
  /** The client may take more on this stream, or undefined: on the connection, or instead of a stream that is gone. */
  windowOpened(stream: Http2Stream | undefined): void;
  /** The client wants nothing more on this stream, which the proxy may be answering. */
  unwanted(streamId: number): void;
  /** The request is over on the client's side. */
  requestDone(stream: Http2Stream): void;
  /** The answer is over: it was seen to its end. */
  answerDone(stream: Http2Stream): void;
  /** The stream is over on both sides, in whatever way. */
  forget(stream: Http2Stream, isAnswered: boolean): void;
}

/** Octets that were received and go nowhere: their sender gets the connection's window back. */
export function giveBack(outlet: FrameOutlet, octets: number): void {
  if (octets > 0) outlet.insert(windowUpdateFrame(0, octets));
}

/** A change of the window that new streams begin with moves those of open ones (RFC 9113 section 6.9.2). */
export function moveStreamWindows(link: Link, difference: number): void {
  if (difference === 0) return;
  for (const stream of link.streams.all) {
    stream.window += difference;
    if (difference > 0) link.windowOpened(stream);
  }
}

/** Tells the API server of what the client gave of its connection window, when it is time to. */
export function tellOfConnectionWindow({ flow, toUpstream }: Link): void {
  const octets = flow.due();
  if (octets > 0) toUpstream.insert(windowUpdateFrame(0, octets));
}

/** The same for the window of one stream. */
export function tellOfStreamWindow({ toUpstream }: Link, stream: Http2Stream): void {
  if (!stream.isForwarded) return;
  const octets = stream.withheld.due(stream.window);
  if (octets > 0) toUpstream.insert(windowUpdateFrame(stream.upstreamId, octets));
}
