import { CtrlmeshError } from "#api/errors";
import type { Asked, BodyEnd, Message, Reading, Stream } from "./reading.ts";

type Heads = typeof import("#proxy/http1/head");
type Framing = typeof import("#proxy/http1/framing");
type Chunked = typeof import("#proxy/http1/chunked");
type Growing = typeof import("#proxy/http1/growing-bytes");

interface Modules extends Pick<Heads, "RequestHeadParser"> {
  readonly RequestBody: Framing["RequestBody"];
  readonly ResponseFraming: Framing["ResponseFraming"];
  readonly ChunkedBody: Chunked["ChunkedBody"];
  readonly GrowingBytes: Growing["GrowingBytes"];
}

/** The parser under test. */
export interface Subject {
  /**
   * Reads a stream that comes in pieces.
   *
   * @param cuts offsets of the pieces' ends, ascending; none: all at once
   * @throws whatever the parser throws besides its two typed refusals
   */
  read(stream: Stream, cuts?: readonly number[]): Reading;
}

/**
 * @param folder URL of the folder that holds the parser's modules: the proxy's own, or a copy with a planted bug
 */
export async function loadSubject(folder: URL): Promise<Subject> {
  const load = (name: string): Promise<unknown> => import(new URL(name, folder).href);
  const [heads, framing, chunked, growing] = (await Promise.all(
    ["head.ts", "framing.ts", "chunked.ts", "growing-bytes.ts"].map(load),
  )) as [Heads, Framing, Chunked, Growing];
  const modules: Modules = {
    RequestHeadParser: heads.RequestHeadParser,
    RequestBody: framing.RequestBody,
    ResponseFraming: framing.ResponseFraming,
    ChunkedBody: chunked.ChunkedBody,
    GrowingBytes: growing.GrowingBytes,
  };
  return {
    read: (stream, cuts = []) =>
      stream.kind === "requests"
        ? readRequests(modules, pieces(stream.bytes, cuts))
        : readResponses(modules, stream.asked, pieces(stream.bytes, cuts)),
  };
}

function pieces(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  return [...cuts, bytes.length].map((end, index) => bytes.subarray(cuts[index - 1] ?? 0, end));
}

type Draft = { -readonly [Key in keyof Message]: Message[Key] };

/** Content of a body from its bytes on the wire; the framing has judged them already. */
function contentOf(modules: Modules, wire: readonly Buffer[], isChunked: boolean): Buffer {
  if (!isChunked) return Buffer.concat(wire);
  const content: Buffer[] = [];
  const body = new modules.ChunkedBody();
  for (const piece of wire) {
    body.take(piece, 0, piece.length, (bytes, start, end) => void content.push(bytes.subarray(start, end)));
  }
  return Buffer.concat(content);
}

/** Runs `read` to its end or to the parser's refusal. */
function untilRefusal(messages: Draft[], read: () => Reading["end"], isInBody: () => boolean): Reading {
  try {
    return { messages, end: read(), reason: "" };
  } catch (error) {
    if (!(error instanceof CtrlmeshError) || !refusals.has(error.code)) throw error;
    const last = messages.at(-1);
    if (last !== undefined && isInBody()) last.bodyEnd = "refused";
    return { messages, end: "refused", reason: error.message };
  }
}

const refusals: ReadonlySet<string> = new Set([
  "MALFORMED_REQUEST",
  "REQUEST_HEAD_TOO_LARGE",
  "MALFORMED_RESPONSE",
]);

/** As `proxy/apiserver/http1/connection.ts` does, each request answered at once by 200 with a length. */
function readRequests(modules: Modules, parts: readonly Buffer[]): Reading {
  const messages: Draft[] = [];
  const parser = new modules.RequestHeadParser();
  const body = new modules.RequestBody();
  const pending = new modules.GrowingBytes();
  let wire: Buffer[] = [];
  let isInBody = false;
  let isChunked = false;

  const finishBody = (bodyEnd: BodyEnd): void => {
    const message = messages.at(-1);
    if (message === undefined || !isInBody) return;
    message.body = contentOf(modules, wire, isChunked);
    message.bodyEnd = bodyEnd;
    wire = [];
    isInBody = false;
  };
  /** Returns whether the connection goes on. */
  const consume = (bytes: Buffer, start: number): boolean => {
    let at = start;
    for (;;) {
      if (isInBody) {
        const end = body.take(bytes, at, bytes.length);
        checkOffset(end, at, bytes.length);
        wire.push(bytes.subarray(at, end));
        at = end;
        if (!body.isDone) return true;
        finishBody("whole");
        if (messages.at(-1)?.closes) return false;
      }
      if (at === bytes.length) return true;
      const head = parser.parse(bytes, at);
      if (head === undefined) {
        pending.append(bytes, at, bytes.length);
        return true;
      }
      checkOffset(at + head.length, at, bytes.length);
      messages.push({
        method: head.method,
        target: bytes.toString("latin1", at + head.targetStart, at + head.targetEnd),
        status: 0,
        accept: head.accept,
        upgrade: head.upgrade,
        hasAuthorization: head.hasAuthorization,
        expectsContinue: head.expectsContinue,
        closes: !head.keepsAlive,
        body: Buffer.alloc(0),
        bodyEnd: "partial",
      });
      at += head.length;
      body.begin(head);
      isInBody = true;
      isChunked = head.isChunked;
    }
  };
  const read = (): Reading["end"] => {
    for (const part of parts) {
      if (part.length === 0) continue;
      let goesOn: boolean;
      if (pending.length === 0) goesOn = consume(part, 0);
      else {
        pending.append(part, 0, part.length);
        const kept = pending.detach();
        goesOn = consume(kept, 0);
      }
      if (!goesOn) return "closed";
    }
    finishBody("partial");
    return pending.length > 0 ? "partial" : "clean";
  };
  return untilRefusal(messages, read, () => isInBody);
}

function checkOffset(end: number, start: number, limit: number): void {
  if (end < start || end > limit) throw new Error(`an offset of ${end} is not within [${start}, ${limit}]`);
}

/** The responses to `asked`, each request sent when the response before it is over. */
function readResponses(modules: Modules, asked: readonly Asked[], parts: readonly Buffer[]): Reading {
  const messages: Draft[] = [];
  const framing = new modules.ResponseFraming();
  let wire: Buffer[] = [];
  let isInBody = false;
  let isChunked = false;
  let next = 0;
  const listener = {
    // Half of the streams are followed chunk by chunk, as watches are.
    wantsContent: parts.length > 1,
    responseContent: () => undefined,
    responseHead: (head: import("#proxy/http1/response-head").ResponseHead) => {
      isChunked = head.isChunked;
      messages.push({
        method: "",
        target: "",
        status: head.status,
        accept: undefined,
        upgrade: undefined,
        hasAuthorization: false,
        expectsContinue: false,
        closes: !head.keepsAlive,
        body: Buffer.alloc(0),
        bodyEnd: "partial",
      });
      // The head's own bytes are passed next.
      wire = [];
      hasHeadPassed = false;
      isInBody = true;
    },
  };
  let hasHeadPassed = false;
  const pass = (bytes: Buffer, start: number, end: number): void => {
    if (!isInBody) return;
    if (!hasHeadPassed) hasHeadPassed = true;
    else wire.push(Buffer.from(bytes.subarray(start, end)));
  };
  const finishBody = (bodyEnd: BodyEnd): void => {
    const message = messages.at(-1);
    if (message === undefined || !isInBody) return;
    message.body = contentOf(modules, wire, isChunked && !asked[messages.length - 1]?.isHead);
    message.bodyEnd = bodyEnd;
    isInBody = false;
  };
  const begin = (): boolean => {
    const request = asked[next++];
    if (request === undefined) return false;
    framing.begin(request.isHead, request.maySwitch);
    return true;
  };
  const read = (): Reading["end"] => {
    let isHeadBegun = false;
    if (!begin()) return "closed";
    for (const part of parts) {
      let at = 0;
      while (at < part.length) {
        const end = framing.take(part, at, part.length, listener, pass);
        checkOffset(end, at, part.length);
        at = end;
        isHeadBegun = !isInBody;
        if (framing.isTunnel) {
          finishBody("whole");
          return "closed";
        }
        const last = messages.at(-1);
        if (framing.endsWithConnection && last !== undefined) last.closes = true;
        if (!framing.isDone) continue;
        finishBody("whole");
        isHeadBegun = false;
        if (last?.closes || !begin()) return "closed";
      }
    }
    if (isInBody) {
      finishBody(framing.endsWithConnection ? "whole" : "partial");
      return "closed";
    }
    return isHeadBegun ? "partial" : "clean";
  };
  return untilRefusal(messages, read, () => isInBody);
}
