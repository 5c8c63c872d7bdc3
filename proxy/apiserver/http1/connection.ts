import { CtrlmeshError, toCtrlmeshError } from "#api/errors";
import type { ContentListener } from "../../http1/chunked.ts";
import { RequestBody, ResponseFraming, type ResponseListener } from "../../http1/framing.ts";
import { GrowingBytes } from "../../http1/growing-bytes.ts";
import { type RequestHead, RequestHeadParser } from "../../http1/head.ts";
import type { ResponseHead } from "../../http1/response-head.ts";
import { Relay, type RelayListener } from "../../transport/relay.ts";
import {
  type ClientConnection,
  type ConnectionDeps,
  floorUnknown,
  floorWaitMs,
  lingerMs,
  watchEndMs,
} from "../client-connection.ts";
import { countRefusal, verbClassOf } from "../counters.ts";
import { Exchange, type ExchangeConnection } from "../exchange.ts";
import { putReply, type ReplyFacts } from "../local-reply.ts";
import type { Decision, Forward, Refuse, RequestFacts, Rules } from "../pipeline.ts";
import { localRefusal, statusOfRefusal } from "../refusal.ts";
import { refusedUpgrade } from "../upgrade.ts";
import { putChunkedEnd } from "../watch-end.ts";

/** Bytes of requests behind the running one that are kept; more stay in the kernel. */
const pipelinedLimitBytes = 64 * 1024;
/** A refused request's body of at most this size is read and dropped; behind a larger one the connection ends. */
const discardLimitBytes = 256 * 1024;
/**
 * What the client's bytes are at the moment.
 *
 * - head: the next request's head, or its beginning
 * - waiting: a request waits for a floor; what comes is kept
 * - exchange: the running request's body; behind its end what comes is kept until the response is over
 * - discard: the body of a refused request
 * - tunnel: the API server switched protocols
 * - linger: nothing any more; the answer is on its way and the connection ends behind it
 */
type Phase = "head" | "waiting" | "exchange" | "discard" | "tunnel" | "linger";

/**
 * One client connection with the upstream one that belongs to it. Strictly one request after the other: the next
 * head is read when the response before it is over, so a local answer never overtakes one, and no bytes go
 * upstream under a decision that was made for an earlier state of the rules.
 */
export class Http1Connection
  implements RelayListener, ResponseListener, ExchangeConnection, ClientConnection
{
  readonly #deps: ConnectionDeps;
  readonly #relay: Relay;
  readonly #parser = new RequestHeadParser();
  readonly #body = new RequestBody();
  readonly #response = new ResponseFraming();
  readonly #pending = new GrowingBytes();
  #phase: Phase = "head";
  #exchange: Exchange | undefined;
  /** Whether both sides let the connection live on behind the running exchange. */
  #keepsAlive = true;
  #hasPassedResponseBytes = false;
  #hasClientEnded = false;
  #hasUpstreamEnded = false;
  /** Runs for one purpose at a time: the wait for a floor, the end of a watch, the end of the connection. */
  #timer: Disposable | undefined;

  constructor(deps: ConnectionDeps) {
    this.#deps = deps;
    this.#relay = new Relay({ ...deps, protocol: "http/1.1" }, this);
  }

  /** Whether no request is running, waiting or half received. */
  get isIdle(): boolean {
    return this.#phase === "head" && this.#pending.length === 0;
  }

  closeIfIdle(): void {
    if (this.isIdle) this.#close();
  }

  destroy(): void {
    this.#relay.destroy();
  }

  // ---- from the client

  clientBytes(bytes: Buffer): void {
    if (this.#pending.length === 0) {
      this.#consume(bytes, 0);
      return;
    }
    this.#pending.append(bytes, 0, bytes.length);
    this.#resume();
  }

  /** Goes on with what is kept, if it can be used now. */
  #resume(): void {
    if (this.#pending.length === 0) return;
    if (this.#phase === "waiting" || (this.#phase === "exchange" && this.#body.isDone)) {
      if (this.#pending.length > pipelinedLimitBytes) this.#relay.clientGate.hold("request waits");
      return;
    }
    this.#relay.clientGate.release("request waits");
    if (this.#phase === "head") {
      const kept = this.#pending.view;
      const head = this.#parser.parse(kept, 0);
      if (head === undefined) return;
      this.#pending.detach();
      this.#begin(head, kept, 0);
      this.#consume(kept, head.length);
    } else this.#consume(this.#pending.detach(), 0);
  }

  #consume(bytes: Buffer, start: number): void {
    let at = start;
    while (at < bytes.length) {
      const next = this.#step(bytes, at);
      if (next === undefined) {
        this.#pending.append(bytes, at, bytes.length);
        if (this.#phase !== "head") this.#resume();
        return;
      }
      at = next;
    }
  }

  /** Takes bytes from `at` on; returns the offset behind them, undefined when they have to be kept. */
  #step(bytes: Buffer, at: number): number | undefined {
    switch (this.#phase) {
      case "head": {
        const head = this.#parser.parse(bytes, at);
        if (head === undefined) return undefined;
        this.#begin(head, bytes, at);
        return at + head.length;
      }
      case "exchange": {
        if (this.#body.isDone) return undefined;
        const end = this.#body.take(bytes, at, bytes.length);
        this.#relay.toUpstream.put(bytes, at, end);
        if (this.#body.isDone) this.#finishIfOver();
        return end;
      }
      case "discard": {
        const end = this.#body.take(bytes, at, bytes.length);
        if (this.#body.isDone) this.#phase = "head";
        return end;
      }
      case "tunnel":
        this.#relay.toUpstream.put(bytes, at, bytes.length);
        return bytes.length;
      case "waiting":
        return undefined;
      case "linger":
        return bytes.length;
    }
  }

  clientEnded(): void {
    this.#hasClientEnded = true;
    switch (this.#phase) {
      case "tunnel":
        this.#relay.endUpstream();
        break;
      case "exchange":
        // Half a request can't become whole any more. A whole one may still be answered: the end is passed on,
        // and the API server decides, as it would without us.
        if (!this.#body.isDone) this.destroy();
        else if (this.#pending.length === 0) this.#relay.endUpstream();
        break;
      case "head":
        if (this.isIdle) this.#close();
        else this.destroy();
        break;
      case "discard":
      case "waiting":
        this.destroy();
        break;
      case "linger":
        break;
    }
  }

  // ---- decisions

  #begin(head: RequestHead, bytes: Buffer, start: number): void {
    const rules = this.#deps.rules();
    const protocols = refusedUpgrade(head.upgrade ?? "");
    if (protocols !== undefined) {
      this.#refuse(head, localRefusal("UPGRADE_NOT_SUPPORTED", protocols));
      return;
    }
    const decision = this.#decide(head, rules);
    if (decision.kind === "wait") {
      const kept = Buffer.from(bytes.subarray(start, start + head.length));
      this.#wait(head, kept, decision.ready);
    } else this.#follow(head, decision, rules, bytes, start);
  }

  #decide(head: RequestHead, rules: Rules): Decision {
    return this.#deps.decide(factsOf(head), rules);
  }

  #follow(head: RequestHead, decision: Forward | Refuse, rules: Rules, bytes: Buffer, start: number): void {
    if (decision.kind === "refuse") this.#refuse(head, decision);
    else this.#forward(head, decision, rules, bytes, start);
  }

  #wait(head: RequestHead, bytes: Buffer, ready: Promise<void>): void {
    this.#phase = "waiting";
    const timer = this.#deps.clock.timer(floorWaitMs, () => {
      this.#guard(() => {
        this.#refuse(head, localRefusal("FLOOR_UNKNOWN", floorUnknown, 1));
        this.#resume();
      });
    });
    this.#timer = timer;
    // A later turn: a promise that is always ready must not keep the timer from firing.
    const later = () => setImmediate(retry);
    const retry = () => {
      if (this.#phase !== "waiting" || this.#timer !== timer) return;
      this.#guard(() => void this.#retry(head, bytes)?.then(later, later));
    };
    ready.then(later, later);
  }

  /** For what no socket called: nothing above would catch what the kept bytes make the parser throw. */
  #guard(call: () => void): void {
    try {
      call();
    } catch (thrown) {
      this.failed(toCtrlmeshError(thrown));
    }
  }

  /** Decides again; returns what to wait for when it is still too early. */
  #retry(head: RequestHead, bytes: Buffer): Promise<void> | undefined {
    const rules = this.#deps.rules();
    const decision = this.#decide(head, rules);
    if (decision.kind === "wait") return decision.ready;
    this.#stopTimer();
    this.#follow(head, decision, rules, bytes, 0);
    this.#resume();
    return undefined;
  }

  #forward(head: RequestHead, decision: Forward, { snapshot }: Rules, bytes: Buffer, start: number): void {
    const { running, counters } = this.#deps;
    const exchange = new Exchange(factsOf(head), decision, snapshot, { connection: this, counters });
    counters.requests[verbClassOf(decision.info.verb)][exchange.isLimited ? "filtered" : "forwarded"]++;
    running.add(exchange);
    this.#exchange = exchange;
    this.#phase = "exchange";
    this.#keepsAlive = head.keepsAlive;
    this.#hasPassedResponseBytes = false;
    this.#body.begin(head);
    this.#response.begin(head.method === "HEAD", exchange.isUpgrade);
    const out = this.#relay.toUpstream;
    if (decision.target === head.target) out.put(bytes, start, start + head.length);
    else {
      out.put(bytes, start, start + head.targetStart);
      out.putText(decision.target);
      out.put(bytes, start + head.targetEnd, start + head.length);
    }
  }

  #refuse(head: RequestHead, refusal: Refuse): void {
    this.#stopTimer();
    const { counters } = this.#deps;
    counters.requests[verbClassOf(refusal.info?.verb)].refused++;
    this.#body.begin(head);
    const isBodySmall =
      !head.expectsContinue && !head.isChunked && (head.contentLength ?? 0) <= discardLimitBytes;
    const mayGoOn = head.keepsAlive && !this.#deps.rules().draining;
    const closes = !mayGoOn || (!this.#body.isDone && !isBodySmall);
    this.#answer(refusal, { accept: head.accept, isHeadRequest: head.method === "HEAD", closes });
    if (closes) this.#close();
    else this.#phase = this.#body.isDone ? "head" : "discard";
  }

  #answer(refusal: Refuse, facts: ReplyFacts): void {
    countRefusal(this.#deps.counters, refusal.code);
    putReply(this.#relay.toClient, statusOfRefusal(refusal), facts);
  }

  // ---- from the API server

  upstreamBytes(bytes: Buffer, length: number): void {
    let at = 0;
    while (at < length) {
      if (this.#phase === "linger") return;
      const exchange = this.#exchange;
      if (exchange === undefined) {
        this.destroy();
        return;
      }
      at = this.#response.take(bytes, at, length, this, this.#pass);
      if (this.#response.isTunnel && this.#phase === "exchange") this.#enterTunnel();
      if (exchange.watchEnd !== undefined) this.#endWatchIfPossible(exchange);
      if (this.#response.isDone) {
        if (at < length)
          throw new CtrlmeshError("MALFORMED_RESPONSE", { what: "more bytes than the answer has" });
        this.#finishIfOver();
      }
    }
  }

  responseHead(head: ResponseHead): void {
    const { status, contentType, contentEncoding, isChunked } = head;
    this.#keepsAlive &&= head.keepsAlive;
    this.#exchange?.answered({ status, contentType, contentEncoding, isStreamed: isChunked });
  }

  /** Only watches are followed event by event; all other bodies are skipped over in whole reads. */
  get wantsContent(): boolean {
    return this.#exchange?.wantsContent ?? false;
  }

  readonly responseContent: ContentListener = (bytes, start, end) => {
    this.#exchange?.responseContent(bytes, start, end);
  };

  readonly #pass = (bytes: Buffer, start: number, end: number): void => {
    this.#hasPassedResponseBytes = true;
    this.#relay.toClient.put(bytes, start, end);
  };

  #enterTunnel(): void {
    this.#phase = "tunnel";
    this.#deps.counters.tunnelsOpen++;
    this.#resume();
  }

  /** When request and response are both over: the next request's turn. */
  #finishIfOver(): void {
    const exchange = this.#exchange;
    if (exchange === undefined || !this.#body.isDone || !this.#response.isDone) return;
    this.#endExchange(true);
    const isLast = !this.#keepsAlive || this.#deps.rules().draining;
    if (isLast || (this.#hasClientEnded && this.#pending.length === 0)) {
      this.#close();
      return;
    }
    this.#phase = "head";
    this.#resume();
    // The last of the requests that came before the client's end is whole and under way.
    if (this.#hasClientEnded) this.clientEnded();
  }

  #endExchange(isAnswered: boolean): void {
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    if (this.#response.isTunnel) this.#deps.counters.tunnelsOpen--;
    this.#exchange = undefined;
    this.#response.finish();
    this.#stopTimer();
    this.#deps.running.remove(exchange, isAnswered);
  }

  upstreamEnded(): void {
    if (this.#phase === "tunnel") {
      this.#hasUpstreamEnded = true;
      this.#relay.endClient();
    } else if (this.#response.endsWithConnection) {
      this.#endExchange(true);
      this.#close();
    } else this.upstreamClosed();
  }

  upstreamFailed(error: CtrlmeshError): void {
    this.#deps.upstreamFailed();
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    this.#deps.log.warn("API server can't be reached", { code: error.code, reason: error.message });
    // Nothing was sent, so the client may try any request again.
    this.#failExchange(exchange, localRefusal(error.code, error.message, 1));
  }

  upstreamClosed(): void {
    if (this.#phase === "linger") return;
    const isWhole = this.#exchange === undefined || this.#response.isDone || this.#hasUpstreamEnded;
    this.#endExchange(this.#response.isDone);
    if (isWhole) this.#close();
    // The response is cut short, and the client has to see that it is: no clean end of the connection.
    else this.#abort();
  }

  // ---- ends

  /** Ends the running watch at once if it stands between two events, else at the next such place. */
  watchEndAsked(): void {
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    this.#timer ??= this.#deps.clock.timer(watchEndMs, () => exchange.destroy());
    this.#endWatchIfPossible(exchange);
  }

  #endWatchIfPossible(exchange: Exchange): void {
    const events = exchange.endableEvents;
    if (events === "never" || this.#phase === "tunnel") {
      exchange.destroy();
      return;
    }
    if (events === "not yet" || !this.#response.isBetweenChunks || exchange.watchEnd === undefined) return;
    const { status } = exchange.watchEnd;
    putChunkedEnd(this.#relay.toClient, status === undefined ? undefined : events.errorEvent(status));
    if (status === undefined) this.#deps.counters.watchesEnded++;
    else this.#deps.counters.watchesExpired++;
    this.#endExchange(true);
    this.#close();
  }

  failed(error: CtrlmeshError): void {
    const { log, counters } = this.#deps;
    log.warn("connection ended because of bytes that can't be understood", {
      code: error.code,
      reason: error.message,
    });
    const isClientsFault = error.code === "MALFORMED_REQUEST" || error.code === "REQUEST_HEAD_TOO_LARGE";
    const exchange = this.#exchange;
    const refusal = localRefusal(error.code, error.message);
    if (this.#phase === "linger" || this.#phase === "tunnel" || this.#phase === "discard") {
      this.destroy();
    } else if (exchange !== undefined) {
      if (this.#hasPassedResponseBytes) {
        countRefusal(counters, error.code);
        this.destroy();
      } else this.#failExchange(exchange, refusal);
    } else if (isClientsFault) {
      counters.requests.other.refused++;
      this.#answer(refusal, { accept: undefined, isHeadRequest: false, closes: true });
      this.#close();
    } else this.destroy();
  }

  /** Answers in place of the API server, of whose answer nothing was passed on, and ends the connection. */
  #failExchange(exchange: Exchange, refusal: Refuse): void {
    this.#endExchange(false);
    this.#relay.destroyUpstream();
    const { accept, method } = exchange.request;
    this.#answer(
      { ...refusal, info: exchange.info },
      { accept, isHeadRequest: method === "HEAD", closes: true },
    );
    this.#close();
  }

  /** Ends the client's side behind what it has coming; reads and drops the rest, so that no reset eats the answer. */
  #close(): void {
    this.#linger();
    this.#relay.destroyUpstream();
    this.#relay.endClient();
    this.#pending.detach();
    if (this.#hasClientEnded) return;
    this.#relay.clientGate.release("request waits");
    this.#relay.clientGate.release("outlet full");
  }

  #abort(): void {
    this.#linger();
    this.#relay.abortClient();
  }

  #linger(): void {
    this.#phase = "linger";
    this.#stopTimer();
    this.#timer = this.#deps.clock.timer(lingerMs, () => this.destroy());
  }

  #stopTimer(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }

  closed(): void {
    this.#endExchange(false);
    this.#phase = "linger";
    this.#stopTimer();
    this.#pending.detach();
    this.#deps.closed();
  }
}

function factsOf({ method, target, accept, upgrade }: RequestHead): RequestFacts {
  return { method, target, accept, isUpgrade: upgrade !== undefined };
}
