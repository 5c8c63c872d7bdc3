import { once } from "node:events";
import type { ClientRequest, IncomingMessage } from "node:http";
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect as connectHttp2,
  type IncomingHttpHeaders,
} from "node:http2";
import { Agent, request as requestHttps } from "node:https";
import { connect as connectTls } from "node:tls";

export type Transport = "http1" | "http2";

/** A server on loopback, and the bearer token to send there by default. */
export interface Endpoint {
  readonly port: number;
  /** PEM of the authority that is trusted. */
  readonly ca: string;
  readonly token: string;
}

export interface HttpRequest {
  readonly method?: string;
  readonly target: string;
  /** Names in lower case. `authorization` replaces the endpoint's token; empty: none is sent. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Several pieces go without a length: chunked on HTTP/1.1. */
  readonly body?: string | Buffer | readonly Buffer[];
}

/** An answer as the client's parser gives it: nothing is decoded, merged or left out. */
export interface HttpAnswer {
  readonly status: number;
  /** In the order and spelling of the wire. */
  readonly headers: readonly HeaderField[];
  readonly body: Buffer;
  readonly trailers: readonly HeaderField[];
  /** Status of each 1xx answer before the final one. */
  readonly informational: readonly number[];
}

export type HeaderField = readonly [name: string, value: string];

export interface HttpClient extends AsyncDisposable {
  /** How many connections it has opened so far. */
  readonly connections: number;
  /** One request to the end of its answer. @throws when the connection breaks before that, or after 20 s */
  send(request: HttpRequest): Promise<HttpAnswer>;
}

/** For one answer to its end. */
const answerMs = 20_000;

export function httpClient(transport: Transport, endpoint: Endpoint): HttpClient {
  return transport === "http1" ? new Http1Client(endpoint) : new Http2Client(endpoint);
}

/** Which of these protocols the server takes. */
export async function negotiates(endpoint: Endpoint, protocol: "h2" | "http/1.1"): Promise<boolean> {
  const { port, ca } = endpoint;
  const socket = connectTls({ host: "127.0.0.1", port, ca, ALPNProtocols: [protocol] });
  try {
    await once(socket, "secureConnect");
    return socket.alpnProtocol === protocol;
  } catch {
    return false; // A server may also refuse the handshake: no_application_protocol.
  } finally {
    socket.destroy();
  }
}

class Http1Client implements HttpClient {
  connections = 0;
  readonly #endpoint: Endpoint;
  readonly #agent: Agent;

  constructor(endpoint: Endpoint) {
    this.#endpoint = endpoint;
    this.#agent = new Agent({ ca: endpoint.ca, keepAlive: true });
  }

  async send(request: HttpRequest): Promise<HttpAnswer> {
    const { method = "GET", target, body } = request;
    const informational: number[] = [];
    const call = requestHttps({
      host: "127.0.0.1",
      port: this.#endpoint.port,
      path: target,
      method,
      headers: { ...fieldsOf(request, this.#endpoint), ...lengthOf(body) },
      agent: this.#agent,
      signal: AbortSignal.timeout(answerMs),
    });
    call.on("socket", (socket) => {
      if (socket.connecting) this.connections++;
    });
    call.on("information", ({ statusCode }) => informational.push(statusCode));
    const answered = once(call, "response");
    if (request.headers?.expect === "100-continue") call.once("continue", () => writeBody(call, body));
    else writeBody(call, body);
    const [answer]: IncomingMessage[] = await answered;
    if (answer === undefined) throw new Error("no answer");
    return {
      status: answer.statusCode ?? 0,
      body: Buffer.concat(await answer.toArray()),
      headers: pairs(answer.rawHeaders),
      trailers: pairs(answer.rawTrailers),
      informational,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#agent.destroy();
  }
}

class Http2Client implements HttpClient {
  connections = 0;
  readonly #endpoint: Endpoint;
  #session: ClientHttp2Session | undefined;
  /** Those before it too: one that the server has said GOAWAY to lives as long as its last stream. */
  readonly #sessions: ClientHttp2Session[] = [];

  constructor(endpoint: Endpoint) {
    this.#endpoint = endpoint;
  }

  /** A stream that the server refused was not worked on and may be asked again: RFC 9113 section 8.7. */
  async send(request: HttpRequest): Promise<HttpAnswer> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#sendOnce(request);
      } catch (error) {
        if (attempt === 3 || !String(error).includes("NGHTTP2_REFUSED_STREAM")) throw error;
      }
    }
  }

  async #sendOnce(request: HttpRequest): Promise<HttpAnswer> {
    const { method = "GET", target, body } = request;
    const stream = this.#open().request(
      { ":method": method, ":path": target, ...fieldsOf(request, this.#endpoint), ...lengthOf(body) },
      { signal: AbortSignal.timeout(answerMs), endStream: body === undefined },
    );
    const informational: number[] = [];
    let trailers: readonly HeaderField[] = [];
    stream.on("headers", (headers) => informational.push(Number(headers[":status"])));
    stream.on("trailers", (headers: IncomingHttpHeaders) => {
      trailers = fieldsFrom(headers);
    });
    const answered = once(stream, "response");
    const received = bodyOf(stream);
    received.catch(() => undefined); // what breaks both is told by the first
    if (request.headers?.expect === "100-continue") stream.once("continue", () => writeBody(stream, body));
    else if (body !== undefined) writeBody(stream, body);
    const [headers]: IncomingHttpHeaders[] = await answered;
    if (headers === undefined) throw new Error("no answer");
    return {
      status: Number(headers[":status"]),
      body: await received,
      headers: fieldsFrom(headers),
      trailers,
      informational,
    };
  }

  /** The API server ends the connection behind some answers, 401 for instance, with GOAWAY. */
  #open(): ClientHttp2Session {
    if (this.#session === undefined || this.#session.closed || this.#session.destroyed) {
      const { port, ca } = this.#endpoint;
      this.connections++;
      this.#session = connectHttp2(`https://127.0.0.1:${port}`, { ca });
      this.#sessions.push(this.#session);
      this.#session.on("error", () => undefined); // each request has its own
    }
    return this.#session;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const session of this.#sessions) session.destroy();
  }
}

/** Listens from the start: a stream that the server has closed has no end event for those who come later. */
async function bodyOf(stream: ClientHttp2Stream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  const ended = Promise.withResolvers<void>();
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  stream.once("end", () => ended.resolve());
  stream.once("error", (error) => ended.reject(error));
  stream.once("close", () =>
    ended.reject(new Error(`stream closed with code ${stream.rstCode} before its end`)),
  );
  await ended.promise;
  return Buffer.concat(chunks);
}

function fieldsOf({ headers = {} }: HttpRequest, { token }: Endpoint): Record<string, string> {
  const { authorization = `Bearer ${token}`, ...rest } = headers;
  return authorization === "" ? rest : { authorization, ...rest };
}

function lengthOf(body: HttpRequest["body"]): Record<string, string> {
  const isWhole = typeof body === "string" || Buffer.isBuffer(body);
  return isWhole ? { "content-length": String(Buffer.byteLength(body)) } : {};
}

function writeBody(to: ClientRequest | ClientHttp2Stream, body: HttpRequest["body"]): void {
  if (typeof body === "string" || Buffer.isBuffer(body)) to.end(body);
  else {
    for (const piece of body ?? []) to.write(piece);
    to.end();
  }
}

function pairs(raw: readonly string[]): HeaderField[] {
  return raw.flatMap((name, index): HeaderField[] => (index % 2 === 0 ? [[name, raw[index + 1] ?? ""]] : []));
}

function fieldsFrom(headers: IncomingHttpHeaders): HeaderField[] {
  return Object.entries(headers)
    .filter(([name]) => !name.startsWith(":"))
    .map(([name, value]) => [name, String(value)]);
}
