import { CtrlmeshError, toCtrlmeshError } from "#api/errors";
import { ErrorCode, maxFrameSize, preface } from "../../http2/constants.ts";
import { Http2ConnectionError, Http2StreamError } from "../../http2/errors.ts";
import { FrameAssembly } from "../../http2/frame-assembly.ts";
import { FrameOutlet } from "../../http2/frame-outlet.ts";
import { FrameReader } from "../../http2/frame-reader.ts";
import { goAwayFrame, rstStreamFrame, settingsFrame, windowUpdateFrame } from "../../http2/frame-writer.ts";
import type { DecodedHeaders } from "../../http2/hpack-decoder.ts";
import { encodeFields } from "../../http2/hpack-encoder.ts";
import { HeaderField } from "../../http2/hpack-field.ts";
import { type RequestFields, readRequestFields } from "../../http2/request-fields.ts";
import { Relay, type RelayListener } from "../../transport/relay.ts";
import { type ClientConnection, type ConnectionDeps, floorUnknown, lingerMs } from "../client-connection.ts";
import { countRefusal, verbClassOf } from "../counters.ts";
import { Exchange } from "../exchange.ts";
import type { Forward, Refuse, RequestFacts, Rules } from "../pipeline.ts";
import { localRefusal, statusOfRefusal } from "../refusal.ts";
import { ClientFrames, type RequestListener } from "./client-frames.ts";
import { ClientFlow } from "./flow.ts";
import { HoldingFrames } from "./holding-frames.ts";
import type { Link } from "./link.ts";
import { type AnswerFacts, LocalAnswers } from "./local-answers.ts";
import { Http2Stream, type StreamOwner, StreamTable } from "./stream.ts";
import { type AnswerListener, goAwaySoon, UpstreamFrames } from "./upstream-frames.ts";
import { WaitingRequests } from "./waiting-requests.ts";
import { WatchEnds } from "./watch-ends.ts";

/** What waits for a client that does not read: beyond it the connection is cut. More than content ever takes. */
const unreadLimitBytes = 1 << 20;

/**
 * One HTTP/2 connection of a client with the upstream one that belongs to it: frames pass from one to the other, and
 * requests are decided about in between. Each side's settings, windows and limits stay in force end to end, so a
 * client sees the API server's own.
 */
export class Http2Connection
  implements RelayListener, Link, StreamOwner, RequestListener, AnswerListener, ClientConnection
{
  readonly streams = new StreamTable();
  readonly toClient: FrameOutlet;
  readonly toUpstream: FrameOutlet;
  readonly flow = new ClientFlow();
  readonly #deps: ConnectionDeps;
  readonly #relay: Relay;
  readonly #clientReader = new FrameReader({ maxFrameSize });
  readonly #upstreamReader = new FrameReader({ maxFrameSize });
  readonly #clientFrames: ClientFrames;
  readonly #clientAssembly: FrameAssembly;
  readonly #upstreamFrames: UpstreamFrames;
  readonly #held: HoldingFrames;
  readonly #answers: LocalAnswers;
  readonly #waiting: WaitingRequests;
  readonly #watchEnds: WatchEnds;
  #prefaceBytes = 0;
  /** The highest of the streams that the client was told are looked at; later ones are not. */
  #lastTakenId: number | undefined;
  /** While content from it still waits for the client's room. */
  #hasUpstreamEnded = false;
  #isClosing = false;
  #linger: Disposable | undefined;

  constructor(deps: ConnectionDeps) {
    this.#deps = deps;
    this.#relay = new Relay({ ...deps, protocol: "h2" }, this);
    this.toClient = new FrameOutlet(() => this.#relay.toClient);
    this.toUpstream = new FrameOutlet(() => this.#relay.toUpstream);
    this.#clientFrames = new ClientFrames(this, this);
    this.#clientAssembly = new FrameAssembly(this.#clientFrames);
    this.#upstreamFrames = new UpstreamFrames(this, this);
    this.#held = new HoldingFrames(
      new FrameAssembly(this.#upstreamFrames),
      this.flow,
      this.#relay.upstreamGate,
      (upstreamId) => this.streams.byUpstreamId(upstreamId) !== undefined,
    );
    this.#answers = new LocalAnswers(this.toClient, this.flow);
    this.#waiting = new WaitingRequests({ ...deps, guard: (call) => this.#guard(call) });
    this.#watchEnds = new WatchEnds({
      ...deps,
      link: this,
      answers: this.#answers,
      isInside: (stream) => this.#upstreamFrames.isInside(stream),
    });
  }

  get isIdle(): boolean {
    return this.streams.size === 0 && !this.#answers.areWaiting && !this.toClient.isInside;
  }

  closeIfIdle(): void {
    if (this.isIdle) this.#close(ErrorCode.NO_ERROR, "");
  }

  destroy(): void {
    this.#relay.destroy();
  }

  // ---- from the client

  clientBytes(bytes: Buffer): void {
    if (this.#isClosing) return;
    try {
      const start = this.#readPreface(bytes);
      if (start < bytes.length) {
        this.#clientReader.push(start === 0 ? bytes : bytes.subarray(start), this.#clientAssembly);
      }
    } catch (error) {
      if (!(error instanceof Http2ConnectionError)) throw error;
      this.#clientBroke(error);
    }
    // Of its own frames, each of which may be answered by one, a client can send any number.
    if (this.#unreadBytes > unreadLimitBytes) this.destroy();
  }

  get #unreadBytes(): number {
    return this.#relay.toClient.queuedBytes + this.toClient.waitingBytes + this.#answers.waitingBytes;
  }

  /** @returns offset of the first byte behind the preface */
  #readPreface(bytes: Buffer): number {
    let at = 0;
    while (this.#prefaceBytes < preface.length && at < bytes.length) {
      if (bytes[at++] !== preface[this.#prefaceBytes++]) {
        throw new Http2ConnectionError(
          ErrorCode.PROTOCOL_ERROR,
          "the client does not begin with the preface",
        );
      }
      // The API server's settings are the client's first answer, so it is called at once.
      if (this.#prefaceBytes === preface.length) this.#relay.toUpstream.put(preface, 0, preface.length);
    }
    return at;
  }

  #clientBroke(error: Http2ConnectionError): void {
    const { log, counters } = this.#deps;
    log.warn("connection ended because of bytes that can't be understood", {
      code: "MALFORMED_REQUEST",
      reason: error.message,
    });
    countRefusal(counters, "MALFORMED_REQUEST");
    this.#close(error.errorCode, error.message);
  }

  clientEnded(): void {
    if (this.isIdle && this.#clientReader.isBetweenFrames) this.#close(ErrorCode.NO_ERROR, "");
    else if (!this.#isClosing) this.destroy();
  }

  // ---- decisions

  request(streamId: number, endsStream: boolean, headers: DecodedHeaders): void {
    // The client was told that it will not be looked at, and asks again elsewhere.
    if (this.#lastTakenId !== undefined) return;
    let fields: RequestFields;
    try {
      if (headers.isTooLarge) {
        this.#refuseUnread(
          streamId,
          endsStream,
          localRefusal("REQUEST_HEAD_TOO_LARGE", "the request's head is too long"),
        );
        return;
      }
      fields = readRequestFields(headers.fields);
    } catch (error) {
      if (!(error instanceof Http2StreamError)) throw error;
      this.#refuseUnread(streamId, endsStream, localRefusal("MALFORMED_REQUEST", error.message));
      return;
    }
    const stream = new Http2Stream(streamId, requestOf(fields), {
      isRequestDone: endsStream,
      window: this.flow.initialStreamWindow,
      owner: this,
    });
    this.streams.add(stream);
    const rules = this.#deps.rules();
    const decision = this.#deps.decide(stream.request, rules);
    if (decision.kind === "wait") this.#wait(stream, fields, decision.ready);
    else this.#follow(stream, fields, decision, rules);
  }

  #follow(stream: Http2Stream, fields: RequestFields, decision: Forward | Refuse, rules: Rules): void {
    if (decision.kind === "refuse") this.#refuse(stream, decision);
    else this.#forward(stream, fields, decision, rules);
  }

  #forward(stream: Http2Stream, fields: RequestFields, decision: Forward, { snapshot }: Rules): void {
    const { running, counters } = this.#deps;
    const exchange = new Exchange(stream.request, decision, snapshot, { connection: stream, counters });
    counters.requests[verbClassOf(decision.info.verb)][exchange.isLimited ? "filtered" : "forwarded"]++;
    running.add(exchange);
    stream.exchange = exchange;
    this.streams.open(stream);
    const block = encodeFields(fieldsFor(fields, decision.target));
    this.toUpstream.insertHeaders(stream.upstreamId, stream.isRequestDone, block, 0, block.length);
    // What the client gave while the request waited.
    const octets = stream.withheld.all();
    if (octets > 0) this.toUpstream.insert(windowUpdateFrame(stream.upstreamId, octets));
  }

  #wait(stream: Http2Stream, fields: RequestFields, ready: Promise<void>): void {
    const refuse = () => this.#refuse(stream, localRefusal("FLOOR_UNKNOWN", floorUnknown, 1));
    // Content would have to be kept, and no client sends any with a list or watch.
    if (!stream.isRequestDone || this.#waiting.isFull) refuse();
    else {
      this.#waiting.add(stream, ready, {
        decided: (decision, rules) => this.#follow(stream, fields, decision, rules),
        expired: refuse,
      });
    }
  }

  /** For what no socket called: nothing above would catch what is thrown. */
  #guard(call: () => void): void {
    try {
      call();
    } catch (thrown) {
      this.failed(toCtrlmeshError(thrown));
    }
  }

  #refuse(stream: Http2Stream, refusal: Refuse, mayWait = true): void {
    const { counters } = this.#deps;
    counters.requests[verbClassOf(refusal.info?.verb)].refused++;
    const { accept, method } = stream.request;
    const { isRequestDone } = stream;
    this.#answer(stream.id, refusal, { accept, isHeadRequest: method === "HEAD", isRequestDone, mayWait });
    this.forget(stream, true);
  }

  #refuseUnread(streamId: number, endsStream: boolean, refusal: Refuse): void {
    this.#deps.counters.requests.other.refused++;
    this.#answer(streamId, refusal, {
      accept: undefined,
      isHeadRequest: false,
      isRequestDone: endsStream,
      mayWait: true,
    });
  }

  #answer(streamId: number, refusal: Refuse, facts: AnswerFacts): void {
    countRefusal(this.#deps.counters, refusal.code);
    this.#answers.put(streamId, statusOfRefusal(refusal), facts);
  }

  requestDone(stream: Http2Stream): void {
    stream.isRequestDone = true;
    if (stream.isResponseDone) this.forget(stream, true);
  }

  windowOpened(stream: Http2Stream | undefined): void {
    if (this.#isClosing) return;
    this.#answers.flush();
    this.#readUpstream(() => this.#held.resume());
    // Ends of watches wait for room like everything else.
    this.#watchEnds.windowOpened(stream);
    this.#closeIfDrained();
    if (this.#hasUpstreamEnded) this.upstreamClosed();
  }

  // ---- from the API server

  upstreamBytes(bytes: Buffer, length: number): void {
    if (this.#isClosing) return;
    this.#readUpstream(() =>
      this.#upstreamReader.push(bytes.subarray(0, length), this.#held, this.#relay.toClient),
    );
    this.#closeIfDrained();
  }

  #readUpstream(read: () => void): void {
    try {
      read();
    } catch (error) {
      if (!(error instanceof Http2ConnectionError)) throw error;
      throw new CtrlmeshError("MALFORMED_RESPONSE", { what: error.message, cause: error });
    }
  }

  settingsSent(values: ReadonlyMap<number, number>): void {
    this.#clientFrames.settingsSent(values);
  }

  answerDone(stream: Http2Stream): void {
    this.#endExchange(stream, true);
    if (stream.isRequestDone) this.forget(stream, true);
  }

  goAway(lastUpstreamId: number, errorCode: number, debug: Buffer): void {
    if (lastUpstreamId === goAwaySoon) {
      this.toClient.insert(goAwayFrame(goAwaySoon, errorCode, debug.toString("latin1")));
      return;
    }
    this.#lastTakenId ??= this.streams.lastId;
    // Their numbers may be lower than those of others that are carried out: only by themselves can they be taken back.
    for (const stream of this.streams.all) {
      if (stream.isForwarded && stream.upstreamId <= lastUpstreamId) continue;
      this.toClient.insert(rstStreamFrame(stream.id, ErrorCode.REFUSED_STREAM));
      this.forget(stream, true);
    }
    this.toClient.insert(goAwayFrame(this.#lastTakenId, errorCode, debug.toString("latin1")));
  }

  upstreamEnded(): void {
    this.upstreamClosed();
  }

  upstreamFailed(error: CtrlmeshError): void {
    // Not a failure when it was given up.
    if (this.#isClosing) return;
    this.#deps.log.warn("API server can't be reached", { code: error.code, reason: error.message });
    this.#deps.upstreamFailed();
    // Such settings as every HTTP/2 connection has, since those of the API server don't come.
    this.toClient.open(settingsFrame([]));
    // Nothing was sent, so the client may try any request again.
    const refusal = localRefusal(error.code, error.message, 1);
    for (const stream of this.streams.all) {
      this.#refuse(stream, { ...refusal, info: stream.exchange?.info }, false);
    }
    this.#close(ErrorCode.NO_ERROR, error.message);
  }

  upstreamClosed(): void {
    if (this.#isClosing) return;
    this.#hasUpstreamEnded = this.#held.areWaiting;
    if (this.#hasUpstreamEnded) return;
    if (this.streams.size === 0) this.#close(ErrorCode.NO_ERROR, "");
    // Answers are cut short, and the client has to see that they are.
    else this.#abort();
  }

  // ---- ends of streams

  endWatch(stream: Http2Stream): void {
    this.#watchEnds.add(stream);
  }

  watchPaused(stream: Http2Stream): void {
    this.#watchEnds.tryEnd(stream);
  }

  cut(stream: Http2Stream): void {
    this.toUpstream.insert(rstStreamFrame(stream.upstreamId, ErrorCode.CANCEL));
    this.toClient.insert(rstStreamFrame(stream.id, ErrorCode.INTERNAL_ERROR));
    this.forget(stream, false);
  }

  #endExchange(stream: Http2Stream, isAnswered: boolean): void {
    const { exchange } = stream;
    if (exchange === undefined) return;
    stream.exchange = undefined;
    this.#watchEnds.remove(stream);
    this.#deps.running.remove(exchange, isAnswered);
  }

  forget(stream: Http2Stream, isAnswered: boolean): void {
    this.#endExchange(stream, isAnswered);
    this.#waiting.remove(stream);
    this.streams.remove(stream);
    this.#closeIfDrained();
  }

  unwanted(streamId: number): void {
    this.#answers.cancel(streamId);
  }

  #closeIfDrained(): void {
    if (this.isIdle && this.#deps.rules().draining) this.closeIfIdle();
  }

  // ---- ends of the connection

  failed(error: CtrlmeshError): void {
    const { log, counters } = this.#deps;
    log.warn("connection ended because of bytes that can't be understood", {
      code: error.code,
      reason: error.message,
    });
    countRefusal(counters, error.code);
    this.destroy();
  }

  /** Ends the client's side behind what it has coming, with a last word if one may stand there. */
  #close(errorCode: number, debug: string): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#forgetAll();
    if (!this.toClient.isOpen) this.toClient.open(settingsFrame([]));
    if (!this.toClient.isInside)
      this.toClient.insert(goAwayFrame(this.#lastTakenId ?? this.streams.lastId, errorCode, debug));
    this.#relay.destroyUpstream();
    this.#relay.endClient();
    // Read and dropped, so that no reset eats the last words.
    this.#relay.clientGate.release("outlet full");
    this.#linger = this.#deps.clock.timer(lingerMs, () => this.destroy());
  }

  #abort(): void {
    this.#isClosing = true;
    this.#forgetAll();
    this.#linger = this.#deps.clock.timer(lingerMs, () => this.destroy());
    this.#relay.abortClient();
  }

  #forgetAll(): void {
    for (const stream of this.streams.all) {
      this.#endExchange(stream, false);
      this.#waiting.remove(stream);
      this.streams.remove(stream);
    }
  }

  closed(): void {
    this.#isClosing = true;
    this.#forgetAll();
    this.#linger?.[Symbol.dispose]();
    this.#deps.closed();
  }
}

function requestOf({ method, path, accept }: RequestFields): RequestFacts {
  return { method, target: path, accept, isUpgrade: false };
}

/** The request's fields with another path. */
function fieldsFor({ fields, path }: RequestFields, target: string): readonly HeaderField[] {
  if (target === path) return fields;
  return fields.map((field) => (field.name === ":path" ? new HeaderField(":path", target) : field));
}
