import { once } from "node:events";
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  createSecureServer,
  type Http2SecureServer,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { Socket } from "node:net";
import type { RawIdentity } from "../../transport/raw-peers.ts";
import { createIdentity } from "../../transport/raw-peers.ts";
import { Harness } from "../raw-harness.ts";
import type { ApiserverProxyOptions } from "../server.ts";

/** The API server proxy between Node's own HTTP/2 client and server: for tests. */

const deadlineMs = 5_000;

/** A request as the API server sees it. */
export interface SeenRequest {
  readonly stream: ServerHttp2Stream;
  readonly headers: IncomingHttpHeaders;
}

/** An API server that speaks HTTP/2 and lets the test answer. */
export class Http2Upstream implements AsyncDisposable {
  readonly server: Http2SecureServer;
  readonly sessions = new Set<ServerHttp2Session>();
  /** Sessions since the start. */
  sessionCount = 0;
  /** Destroyed at the end by themselves: Node forgets sockets of sessions that end while streams are open. */
  readonly #sockets = new Set<Socket>();
  readonly #waiting: SeenRequest[] = [];
  #arrived = Promise.withResolvers<void>();

  constructor(server: Http2SecureServer) {
    this.server = server;
    server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
    server.on("session", (session) => {
      this.sessionCount++;
      this.sessions.add(session);
      session.on("close", () => this.sessions.delete(session));
      session.on("error", () => undefined);
    });
    server.on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
      stream.on("error", () => undefined);
      this.#waiting.push({ stream, headers });
      this.#arrived.resolve();
      this.#arrived = Promise.withResolvers();
    });
  }

  get port(): number {
    const address = this.server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  /** Requests that came and were not taken. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** The next request, in the order in which they came. */
  async next(): Promise<SeenRequest> {
    for (;;) {
      const seen = this.#waiting.shift();
      if (seen !== undefined) return seen;
      await within(this.#arrived.promise, "a request at the API server");
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    if (!this.server.listening) return;
    this.server.close();
    await once(this.server, "close");
  }
}

/** An answer that was read to its end. */
export interface Http2Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export class Http2Harness implements AsyncDisposable {
  readonly inner: Harness;
  readonly upstream: Http2Upstream;
  readonly identity: RawIdentity;
  readonly #sessions: ClientHttp2Session[] = [];

  private constructor(inner: Harness, upstream: Http2Upstream, identity: RawIdentity) {
    this.inner = inner;
    this.upstream = upstream;
    this.identity = identity;
  }

  static async start(
    changes: Parameters<typeof Harness.start>[0] & {
      readonly upstream?: ApiserverProxyOptions["upstream"];
    } = {},
  ): Promise<Http2Harness> {
    const identity = await createIdentity();
    const server = createSecureServer({
      key: identity.privateKeyPem,
      cert: identity.certificatePem,
      settings: { maxConcurrentStreams: 1_000 },
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const upstream = new Http2Upstream(server);
    const inner = await Harness.start({
      upstream: {
        host: "127.0.0.1",
        port: upstream.port,
        servername: "127.0.0.1",
        ca: () => identity.caPem,
      },
      http2: true,
      ...changes,
    });
    return new Http2Harness(inner, upstream, identity);
  }

  /** A client connection; fails unless HTTP/2 was agreed on. */
  async dial(): Promise<ClientHttp2Session> {
    const session = connect(`https://127.0.0.1:${this.inner.proxy.address.port}`, {
      ca: this.inner.identity.caPem,
    });
    this.#sessions.push(session);
    session.on("error", () => undefined);
    await within(once(session, "connect"), "an HTTP/2 connection to the proxy");
    return session;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const session of this.#sessions) session.destroy();
    await this.inner[Symbol.asyncDispose]();
    await this.upstream[Symbol.asyncDispose]();
  }
}

/** Sends a request; `body` undefined: none. */
export function send(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  body?: string,
): ClientHttp2Stream {
  const stream = session.request({ ":method": "GET", ...headers }, { endStream: body === undefined });
  if (body !== undefined) stream.end(body);
  return stream;
}

/** Reads an answer to its end. @throws the stream's error */
export async function answerOf(stream: ClientHttp2Stream): Promise<Http2Answer> {
  const head = once(stream, "response");
  stream.setEncoding("utf8");
  const [headers]: IncomingHttpHeaders[] = await within(head, "the head of an answer");
  const chunks: string[] = await within(stream.toArray(), "the end of an answer");
  return { status: Number(headers?.[":status"]), headers: headers ?? {}, body: chunks.join("") };
}

export async function ask(
  session: ClientHttp2Session,
  path: string,
  headers: OutgoingHttpHeaders = {},
  body?: string,
): Promise<Http2Answer> {
  return answerOf(send(session, { ":path": path, ...headers }, body));
}

/** @throws when it takes longer than 5 s, with what was missing */
export async function within<T>(promise: Promise<T>, what: string): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`${what}: not within ${deadlineMs} ms`)), deadlineMs);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
