import type { RequestInfo } from "#kube/wire/request-info";
import type { KubernetesStatus } from "#kube/wire/status";
import type { ResponseListener } from "../http1/framing.ts";
import type { RequestHead } from "../http1/head.ts";
import type { ResponseHead } from "../http1/response-head.ts";
import type { CompiledSnapshot } from "../snapshot.ts";
import { countResponse, type DataPlaneCounters } from "./counters.ts";
import type { Forward } from "./pipeline.ts";
import type { RunningRequest } from "./running-requests.ts";
import { WatchEvents } from "./watch-end.ts";

/** What an exchange asks of the connection that it runs on. */
export interface ExchangeConnection {
  /** The watch is to end at the next place where it can; `finish` says with what. */
  watchEndAsked(): void;
  /** Cuts both sides. */
  destroy(): void;
}

/** How a watch is to end; `status` undefined: without an error event. */
export interface WatchEnd {
  readonly status: KubernetesStatus | undefined;
}

/** One request that went upstream, until its response is over. It keeps the snapshot that it was decided under. */
export class Exchange implements RunningRequest, ResponseListener {
  readonly head: RequestHead;
  readonly info: RequestInfo;
  readonly mutates: boolean;
  readonly isLimited: boolean;
  readonly snapshot: CompiledSnapshot | undefined;
  readonly #connection: ExchangeConnection;
  readonly #counters: DataPlaneCounters;
  #responseHead: ResponseHead | undefined;
  #events: WatchEvents | undefined;
  #watchEnd: WatchEnd | undefined;

  constructor(
    head: RequestHead,
    decision: Forward,
    snapshot: CompiledSnapshot | undefined,
    owner: { readonly connection: ExchangeConnection; readonly counters: DataPlaneCounters },
  ) {
    this.head = head;
    this.info = decision.info;
    this.mutates = decision.mutates;
    this.isLimited = decision.limited !== undefined;
    this.snapshot = snapshot;
    this.#connection = owner.connection;
    this.#counters = owner.counters;
  }

  get isUpgrade(): boolean {
    return this.head.upgrade !== undefined;
  }

  get isWatch(): boolean {
    return this.info.verb === "watch";
  }

  /** Whether the final head of the response has come. */
  get hasResponse(): boolean {
    return this.#responseHead !== undefined;
  }

  /** Whether both sides let the connection live on. */
  get keepsAlive(): boolean {
    return this.head.keepsAlive && (this.#responseHead?.keepsAlive ?? true);
  }

  /** Only watches are followed event by event; all other bodies are skipped over in whole reads. */
  get wantsContent(): boolean {
    return this.#events !== undefined;
  }

  responseHead(head: ResponseHead): void {
    this.#responseHead = head;
    countResponse(this.#counters, head.status);
    if (this.isWatch) this.#events = WatchEvents.of(head);
  }

  readonly responseContent = (bytes: Buffer, start: number, end: number): void => {
    this.#events?.push(bytes, start, end);
  };

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
    const status = this.#responseHead?.status ?? 200;
    return status === 200 || status === 101 ? this.#watchEnd : undefined;
  }

  /** The events, when one of ours may stand behind them now. "never": this answer can't be followed. */
  get endableEvents(): WatchEvents | "not yet" | "never" {
    if (this.#responseHead === undefined) return "not yet";
    if (this.#events === undefined) return "never";
    return this.#events.isBetweenEvents ? this.#events : "not yet";
  }
}
