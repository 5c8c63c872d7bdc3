import { once } from "node:events";
import { request as http1Request } from "node:http";
import {
  type ClientHttp2Session,
  connect as connectHttp2,
  constants,
  type IncomingHttpHeaders,
} from "node:http2";
import type { Readable } from "node:stream";
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from "node:tls";

export interface TransportOptions {
  /** On loopback. */
  readonly port: number;
  /** What the client offers; the server decides. */
  readonly offers: readonly ("h2" | "http/1.1")[];
  /** CA, and the client's certificate when it has one. */
  readonly tls: ConnectionOptions;
  readonly bearerToken?: string;
}

/** An answer whose body has yet to come. Reading it throws when the connection is cut. */
export interface OpenAnswer {
  readonly status: number;
  readonly retryAfterSeconds: number | undefined;
  readonly protocol: "h2" | "http/1.1";
  readonly body: AsyncIterable<Buffer>;
  /** Drops the rest of the body. */
  destroy(): void;
}

const connectMs = 10_000;

/**
 * A client's connections: one for each request over HTTP/1.1, one for all as long as it lives over HTTP/2. Requests
 * at the same moment without one make one each, and the last one is gone on with.
 */
export class Transport implements Disposable {
  readonly #options: TransportOptions;
  #session: ClientHttp2Session | undefined;
  readonly #sessions = new Set<ClientHttp2Session>();

  constructor(options: TransportOptions) {
    this.#options = options;
  }

  /** @throws what the connection failed with, or the signal's reason */
  async get(target: string, accept: string, signal: AbortSignal): Promise<OpenAnswer> {
    const { bearerToken } = this.#options;
    const headers: Record<string, string> = { accept };
    if (bearerToken !== undefined) headers.authorization = `Bearer ${bearerToken}`;
    if (this.#session !== undefined) return this.#getHttp2(this.#session, target, headers, signal);
    const socket = await this.#connect(signal);
    if (socket.alpnProtocol !== "h2") return getHttp1(socket, target, headers, signal);
    const session = connectHttp2("https://127.0.0.1", { createConnection: () => socket });
    this.#session = session;
    this.#sessions.add(session);
    session.on("close", () => this.#sessions.delete(session));
    const forget = () => {
      if (this.#session === session) this.#session = undefined;
    };
    session.on("close", forget).on("error", forget).on("goaway", forget);
    return this.#getHttp2(session, target, headers, signal);
  }

  async #connect(signal: AbortSignal): Promise<TLSSocket> {
    const { port, offers, tls } = this.#options;
    const socket = connectTls({ ...tls, host: "127.0.0.1", port, ALPNProtocols: [...offers] });
    try {
      await once(socket, "secureConnect", {
        signal: AbortSignal.any([signal, AbortSignal.timeout(connectMs)]),
      });
    } catch (error) {
      socket.on("error", () => undefined).destroy();
      throw error;
    }
    return socket;
  }

  async #getHttp2(
    session: ClientHttp2Session,
    target: string,
    headers: Record<string, string>,
    signal: AbortSignal,
  ): Promise<OpenAnswer> {
    const stream = session.request({ ":path": target, ...headers }, { signal });
    stream.on("error", () => undefined);
    // A stream whose connection breaks closes without an error, and without an answer.
    const head = await new Promise<IncomingHttpHeaders>((resolve, reject) => {
      stream.once("response", resolve);
      stream.once("error", reject);
      stream.once("close", () => reject(connectionLost("the stream closed without an answer")));
    });
    return {
      status: Number(head[":status"]),
      retryAfterSeconds: secondsOf(head["retry-after"]),
      protocol: "h2",
      // Node ends a stream quietly when its connection breaks.
      body: whole(stream, () => stream.rstCode === 0 && !session.destroyed && !session.closed),
      destroy: () => stream.close(constants.NGHTTP2_CANCEL),
    };
  }

  /** For a failure's report. */
  get state(): string {
    const session = this.#session;
    if (session === undefined) return "no HTTP/2 session";
    return `HTTP/2 session ${session.destroyed ? "destroyed" : "alive"} ${session.closed ? "closed" : "open"}, socket ${session.socket?.destroyed === false ? "alive" : "gone"}, ${JSON.stringify(session.state)}`;
  }

  [Symbol.dispose](): void {
    for (const session of this.#sessions) session.destroy();
  }
}

async function getHttp1(
  socket: TLSSocket,
  target: string,
  headers: Record<string, string>,
  signal: AbortSignal,
): Promise<OpenAnswer> {
  const call = http1Request({
    path: target,
    headers: { ...headers, host: "127.0.0.1" },
    createConnection: () => socket,
    signal,
  });
  call.on("error", () => undefined).end();
  const [answer] = await once(call, "response");
  answer.on("error", () => undefined);
  return {
    status: answer.statusCode,
    retryAfterSeconds: secondsOf(answer.headers["retry-after"]),
    protocol: "http/1.1",
    body: whole(answer, () => answer.complete),
    destroy: () => answer.destroy(),
  };
}

function secondsOf(header: unknown): number | undefined {
  return typeof header === "string" ? Number(header) : undefined;
}

/** @throws an error with code ECONNRESET when the body ends and `isComplete` says that more was to come */
async function* whole(body: Readable, isComplete: () => boolean): AsyncGenerator<Buffer> {
  for await (const chunk of body) yield chunk;
  if (!isComplete()) throw connectionLost("the body is cut short");
}

function connectionLost(what: string): Error {
  return Object.assign(new Error(what), { code: "ECONNRESET" });
}

/** A whole answer. */
export interface WholeAnswer {
  readonly status: number;
  readonly body: Buffer;
}

/** One request to its answer's end; undefined when the connection broke. */
export async function ask(
  transport: Transport,
  target: string,
  accept: string,
  signal: AbortSignal,
): Promise<WholeAnswer | undefined> {
  try {
    const answer = await transport.get(target, accept, signal);
    return { status: answer.status, body: await readAll(answer, signal) };
  } catch (error) {
    if (signal.aborted || !isConnectionLoss(error)) throw error;
    return undefined;
  }
}

/** @throws what the connection failed with, or the signal's reason */
export async function readAll({ body }: OpenAnswer, signal: AbortSignal): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of body) {
    signal.throwIfAborted();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Everything that a socket, TLS or Node's HTTP says when a connection ends. */
export function isConnectionLoss(error: unknown): boolean {
  return /^(E[A-Z]+|ERR_(HTTP2|STREAM|SSL|TLS|SOCKET)_\w+|HPE_\w+|ABORT_ERR|TimeoutError)$/.test(
    lossOf(error),
  );
}

/** The error's code; a deadline's is its name. */
export function lossOf(error: unknown): string {
  if (!(error instanceof Error)) return "";
  return "code" in error && typeof error.code === "string" ? error.code : error.name;
}
