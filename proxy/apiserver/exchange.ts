import type { RequestInfo } from "#kube/wire/request-info";
import type { KubernetesStatus } from "#kube/wire/status";
import type { ContentListener } from "../http1/chunked.ts";
import type { CompiledSnapshot } from "../snapshot.ts";
import { countResponse, type DataPlaneCounters } from "./counters.ts";
import type { Forward, RequestFacts } from "./pipeline.ts";
import type { RunningRequest } from "./running-requests.ts";
import { type AnswerHead, WatchEvents } from "./watch-end.ts";

/** What an exchange asks of the connection, or the stream of one, that it runs on. */
export interface ExchangeConnection {
  /** The watch is to end at the next place where it can; `finish` says with what. */
  watchEndAsked(): void;
  /** Cuts both sides of the exchange, so that the client sees an error. */
  destroy(): void;
}

/** How a watch is to end; `status` undefined: without an error event. */
export interface WatchEnd {
  readonly status: KubernetesStatus | undefined;
}

/**
 * One request that went upstream, until its response is over, whichever protocol carries it. It keeps the snapshot
 * that it was decided under.
 */
export class Exchange implements RunningRequest {
  readonly request: RequestFacts;
  readonly info: RequestInfo;
  readonly mutates: boolean;
  readonly isLimited: boolean;
  readonly snapshot: CompiledSnapshot | undefined;
  readonly #connection: ExchangeConnection;
  readonly #counters: DataPlaneCounters;
  #status: number | undefined;
  #events: WatchEvents | undefined;
  #watchEnd: WatchEnd | undefined;

  constructor(
    request: RequestFacts,
    decision: Forward,
    snapshot: CompiledSnapshot | undefined,
    owner: { readonly connection: ExchangeConnection; readonly counters: DataPlaneCounters },
  ) {
    this.request = request;
    this.info = decision.info;
    this.mutates = decision.mutates;
    this.isLimited = decision.limited !== undefined;
    this.snapshot = snapshot;
    this.#connection = owner.connection;
    this.#counters = owner.counters;
  }

  get isUpgrade(): boolean {
    return this.request.isUpgrade;
  }

  get isWatch(): boolean {
    return this.info.verb === "watch";
  }

  /** Whether the body is a watch's, whose events are followed. */
  get wantsContent(): boolean {
    return this.#events !== undefined;
  }

  answered(head: AnswerHead): void {
    this.#status = head.status;
    countResponse(this.#counters, head.status);
    if (this.isWatch) this.#events = WatchEvents.of(head);
  }

  readonly responseContent: ContentListener = (bytes, start, end) => {
    this.#events?.push(bytes, start, end);
  };

  /** The events can't be followed any further. */
  unfollow(): void {
    this.#events = undefined;
  }

  endWatch(status: KubernetesStatus | undefined): void {
    if (this.#watchEnd !== undefined && status === undefined) return;
    this.#watchEnd = { status };
    this.#connection.watchEndAsked();
  }

  destroy(): void {
    this.#counters.requestsDestroyed++;
    this.#connection.destroy();
  }

  /** The end that was asked for; undefined when none was, or when the answer turned out to be an error of its own. */
  get watchEnd(): WatchEnd | undefined {
    const status = this.#status ?? 200;
    return status === 200 || status === 101 ? this.#watchEnd : undefined;
  }

  /** The events, when one of ours may stand behind them now. "never": this answer can't be followed. */
  get endableEvents(): WatchEvents | "not yet" | "never" {
    if (this.#status === undefined) return "not yet";
    if (this.#events === undefined) return "never";
    return this.#events.isBetweenEvents ? this.#events : "not yet";
  }
}
