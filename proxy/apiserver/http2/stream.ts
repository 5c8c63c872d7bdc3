import type { Exchange, ExchangeConnection } from "../exchange.ts";
import type { RequestFacts } from "../pipeline.ts";
import { WithheldUpdates } from "./withheld-updates.ts";

/** What a stream asks of the connection that it is part of. */
export interface StreamOwner {
  /** The stream's watch is to end as soon as it can. */
  endWatch(stream: Http2Stream): void;
  /** Resets the stream on both sides. */
  cut(stream: Http2Stream): void;
}

/** One request of an HTTP/2 client, from its header block until both sides are done with it. */
export class Http2Stream implements ExchangeConnection {
  /** As the client numbers it. */
  readonly id: number;
  readonly request: RequestFacts;
  readonly #owner: StreamOwner;
  /** As the API server knows it; 0 as long as it doesn't. */
  upstreamId = 0;
  /** Set once the request went upstream, until its answer is over. */
  exchange: Exchange | undefined;
  isRequestDone: boolean;
  /** The final head of the answer has come. */
  hasResponse = false;
  isResponseDone = false;
  /** Octets of DATA that the client still takes on it. */
  window: number;
  /** What of it the API server was not told of. */
  readonly withheld: WithheldUpdates;
  /** Runs for one purpose at a time: the wait for a floor, the end of a watch. */
  timer: Disposable | undefined;

  constructor(
    id: number,
    request: RequestFacts,
    facts: { readonly isRequestDone: boolean; readonly window: number; readonly owner: StreamOwner },
  ) {
    this.id = id;
    this.request = request;
    this.isRequestDone = facts.isRequestDone;
    this.window = facts.window;
    this.withheld = new WithheldUpdates(facts.window);
    this.#owner = facts.owner;
  }

  get isForwarded(): boolean {
    return this.upstreamId !== 0;
  }

  watchEndAsked(): void {
    this.#owner.endWatch(this);
  }

  destroy(): void {
    this.#owner.cut(this);
  }

  stopTimer(): void {
    this.timer?.[Symbol.dispose]();
    this.timer = undefined;
  }
}

/**
 * The streams of one connection, by both of their numbers. They differ as soon as a request was answered without the
 * API server, or was overtaken while it waited: numbers have to rise in the order in which streams are opened
 * (RFC 9113 section 5.1.1).
 */
export class StreamTable {
  readonly #byId = new Map<number, Http2Stream>();
  readonly #byUpstreamId = new Map<number, Http2Stream>();
  #nextUpstreamId = 1;
  /** The highest number that the client has used. */
  lastId = 0;

  get size(): number {
    return this.#byId.size;
  }

  get all(): readonly Http2Stream[] {
    return [...this.#byId.values()];
  }

  add(stream: Http2Stream): void {
    this.#byId.set(stream.id, stream);
  }

  byId(id: number): Http2Stream | undefined {
    return this.#byId.get(id);
  }

  byUpstreamId(id: number): Http2Stream | undefined {
    return this.#byUpstreamId.get(id);
  }

  /** Gives the stream the next number of the API server's side. */
  open(stream: Http2Stream): void {
    stream.upstreamId = this.#nextUpstreamId;
    this.#nextUpstreamId += 2;
    this.#byUpstreamId.set(stream.upstreamId, stream);
  }

  remove(stream: Http2Stream): void {
    this.#byId.delete(stream.id);
    this.#byUpstreamId.delete(stream.upstreamId);
  }
}
