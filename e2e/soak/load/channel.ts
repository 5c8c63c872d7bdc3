import { once } from "node:events";
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect as connectHttp2,
  constants,
} from "node:http2";
import { Agent, request } from "node:https";
import { PassThrough, type Readable } from "node:stream";
import { connect } from "node:tls";

/** No operation takes longer, with slow readers and restarts of the API server: what does has lost its answer. */
export const answerMs = 60_000;

export interface Endpoint {
  readonly port: number;
  readonly caPem: string;
  /** Asked at each request: it is replaced now and then. */
  token(): string;
  /** A kept connection was closed in the moment of a request, which was sent again over a new one. */
  retried(): void;
}

export interface Call {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface Answer {
  readonly status: number;
  readonly body: Readable;
  /** Ends it in the middle, as a client does that loses interest. */
  cancel(): void;
}

/** One connection's worth of requests: over HTTP/1.1 one at a time, over HTTP/2 many. */
export interface Channel {
  readonly protocol: Protocol;
  /** Resolves at the head of the answer. */
  send(call: Call): Promise<Answer>;
  close(): void;
}

export type Protocol = "http1" | "http2";

export function openChannel(protocol: Protocol, endpoint: Endpoint): Channel {
  return protocol === "http1" ? new Http1Channel(endpoint) : new Http2Channel(endpoint);
}

/** What the proxy chooses when it may. */
export async function offeredProtocol({ port, caPem }: Endpoint): Promise<Protocol> {
  const socket = connect({ host: "127.0.0.1", port, ca: caPem, ALPNProtocols: ["h2", "http/1.1"] });
  await once(socket, "secureConnect");
  const isHttp2 = socket.alpnProtocol === "h2";
  socket.destroy();
  return isHttp2 ? "http2" : "http1";
}

function headersOf({ headers, body }: Call, endpoint: Endpoint): Record<string, string> {
  return {
    authorization: `Bearer ${endpoint.token()}`,
    ...(body === undefined ? {} : { "content-type": "application/json", ...lengthOf(body) }),
    ...headers,
  };
}

const lengthOf = (body: string) => ({ "content-length": String(Buffer.byteLength(body)) });

class Http1Channel implements Channel {
  readonly protocol = "http1";
  readonly #endpoint: Endpoint;
  readonly #agent: Agent;
  #isClosed = false;

  constructor(endpoint: Endpoint) {
    this.#endpoint = endpoint;
    this.#agent = new Agent({ ca: endpoint.caPem, keepAlive: true, maxSockets: 1 });
  }

  send(call: Call): Promise<Answer> {
    const { method = "GET", path, body } = call;
    const headers = headersOf(call, this.#endpoint);
    const { port } = this.#endpoint;
    return new Promise((resolve, reject) => {
      const fail = (error: Error): void => {
        // As Go's transport does. The server may close a kept connection at any time (RFC 9112 section 9.3.1).
        if (
          this.#isClosed ||
          !sent.reusedSocket ||
          method !== "GET" ||
          !("code" in error) ||
          error.code !== "ECONNRESET"
        ) {
          reject(error);
          return;
        }
        this.#endpoint.retried();
        this.send(call).then(resolve, reject);
      };
      const sent = request(
        { host: "127.0.0.1", port, path, method, headers, agent: this.#agent },
        (response) => {
          response.on("error", () => undefined);
          resolve({
            status: response.statusCode ?? 0,
            body: response,
            cancel: () => response.destroy(),
          });
        },
      );
      sent.on("error", fail);
      sent.end(body);
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#agent.destroy();
  }
}

class Http2Channel implements Channel {
  readonly protocol = "http2";
  readonly #endpoint: Endpoint;
  #session: ClientHttp2Session | undefined;
  #isClosed = false;

  constructor(endpoint: Endpoint) {
    this.#endpoint = endpoint;
  }

  async send(call: Call): Promise<Answer> {
    const { method = "GET", path, body } = call;
    const stream = this.#current().request({
      ":method": method,
      ":path": path,
      ...headersOf(call, this.#endpoint),
    });
    return await new Promise((resolve, reject) => {
      let error: Error | undefined;
      stream.on("error", (cause) => {
        error = cause;
      });
      stream.once("close", () => reject(error ?? new Error("the stream ended without an answer")));
      stream.once("response", (head) =>
        resolve({
          status: Number(head[":status"]),
          body: bodyOf(stream, () => error),
          cancel: () => stream.close(constants.NGHTTP2_CANCEL),
        }),
      );
      stream.end(body);
    });
  }

  #current(): ClientHttp2Session {
    if (this.#isClosed) throw new Error("the channel is closed");
    const present = this.#session;
    if (present !== undefined && !present.closed && !present.destroyed) return present;
    const { port, caPem } = this.#endpoint;
    const session = connectHttp2(`https://127.0.0.1:${port}`, { ca: caPem });
    session.on("error", () => undefined);
    // After a GOAWAY the running streams may finish, and new ones need a new session.
    session.on("goaway", () => {
      if (this.#session === session) this.#session = undefined;
    });
    this.#session = session;
    return session;
  }

  close(): void {
    this.#isClosed = true;
    this.#session?.destroy();
  }
}

/**
 * The stream's content, read from this moment on: Node takes a stream that has ended before anybody iterates over it for
 * one that was closed too early, also when all of it has come.
 */
function bodyOf(stream: ClientHttp2Stream, errorOf: () => Error | undefined): Readable {
  const body = new PassThrough();
  let hasEnded = false;
  stream.once("end", () => {
    hasEnded = true;
  });
  stream.once("close", () => {
    if (!hasEnded) body.destroy(errorOf() ?? new Error(`the stream was reset with ${stream.rstCode}`));
  });
  return stream.pipe(body);
}
