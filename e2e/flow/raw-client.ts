import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type TLSSocket } from "node:tls";

/** What a client of the API server was answered. */
export interface RawAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

export interface RawEndpoint {
  readonly host: string;
  readonly port: number;
  /** PEM of the authorities that are trusted. */
  readonly ca: string;
  readonly token: string;
}

interface RawRequest {
  readonly method?: string;
  readonly target: string;
  readonly body?: object;
  readonly contentType?: string;
}

/**
 * A client that speaks HTTP/1.1 over TLS by hand, each request on a connection of its own: it hides no retry and
 * sees how a body ends.
 */
export class RawClient {
  readonly #endpoint: RawEndpoint;

  constructor(endpoint: RawEndpoint) {
    this.#endpoint = endpoint;
  }

  /** One request to the end of its answer. @throws when the connection breaks before that */
  async request(request: RawRequest): Promise<RawAnswer> {
    await using response = await this.open(request);
    assert.equal(await response.ended(), "whole", `${request.target}: the body was cut`);
    const { status, headers, body } = response;
    return { status, headers, body };
  }

  /** Opens a request and resolves when the head of its answer is there. */
  async open({ method = "GET", target, body, contentType }: RawRequest): Promise<RawResponse> {
    const { host, port, ca, token } = this.#endpoint;
    const socket = connect({ host, port, ca, ALPNProtocols: ["http/1.1"] });
    try {
      await once(socket, "secureConnect");
    } catch (error) {
      socket.destroy();
      throw error;
    }
    const text = body === undefined ? "" : JSON.stringify(body);
    const head = [
      `${method} ${target} HTTP/1.1`,
      `Host: ${host}:${port}`,
      "Accept: application/json",
      ...(token === "" ? [] : [`Authorization: Bearer ${token}`]),
      ...(body === undefined
        ? []
        : [
            `Content-Type: ${contentType ?? "application/json"}`,
            `Content-Length: ${Buffer.byteLength(text)}`,
          ]),
    ];
    socket.write(`${head.join("\r\n")}\r\n\r\n${text}`);
    const response = new RawResponse(socket);
    await response.opened;
    return response;
  }
}

/** `whole`: the body ended as its framing says. `cut`: the connection ended before. */
type BodyEnd = "whole" | "cut";

/** An answer that comes in. Disposing it closes the connection. */
export class RawResponse implements AsyncDisposable {
  status = 0;
  headers: ReadonlyMap<string, string> = new Map();
  body = "";
  readonly opened: Promise<void>;
  readonly #socket: TLSSocket;
  readonly #open = Promise.withResolvers<void>();
  readonly #end = Promise.withResolvers<BodyEnd>();
  #bytes = Buffer.alloc(0);
  #isOpen = false;

  constructor(socket: TLSSocket) {
    this.#socket = socket;
    this.opened = this.#open.promise;
    socket.on("data", (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
      this.#read();
    });
    socket.on("error", () => socket.destroy());
    socket.once("close", () => {
      this.#open.reject(new Error("the connection ended before an answer"));
      this.#end.resolve("cut");
    });
  }

  /** Events of a watch that have come so far. */
  get events(): readonly WatchEvent[] {
    const lines = this.body.split("\n");
    // The last piece is no whole line yet, or empty.
    return lines.slice(0, -1).map((line) => JSON.parse(line) as WatchEvent);
  }

  /** How the body ended; fails when it has not ended in time. */
  async ended(withinMs = 30_000): Promise<BodyEnd> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      late.reject(new Error(`the body did not end within ${withinMs} ms; so far:\n${this.body}`));
    }, withinMs);
    try {
      return await Promise.race([this.#end.promise, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#socket.closed) return;
    const closed = once(this.#socket, "close");
    this.#socket.destroy();
    await closed;
  }

  #read(): void {
    if (!this.#isOpen && !this.#readHead()) return;
    if (this.headers.get("transfer-encoding") === "chunked") {
      while (this.#readChunk());
      return;
    }
    const length = Number(this.headers.get("content-length") ?? 0);
    if (this.#bytes.length < length) return;
    this.body = this.#bytes.subarray(0, length).toString();
    this.#end.resolve("whole");
  }

  #readHead(): boolean {
    const end = this.#bytes.indexOf("\r\n\r\n");
    if (end < 0) return false;
    const [statusLine = "", ...fields] = this.#bytes.subarray(0, end).toString("latin1").split("\r\n");
    this.status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(statusLine)?.[1]);
    this.headers = new Map(
      fields.map((field) => {
        const colon = field.indexOf(":");
        return [field.slice(0, colon).toLowerCase(), field.slice(colon + 1).trim()];
      }),
    );
    this.#bytes = this.#bytes.subarray(end + 4);
    this.#isOpen = true;
    this.#open.resolve();
    return true;
  }

  /** Takes one chunk (RFC 9112 section 7.1); false when it is not whole yet or was the last. */
  #readChunk(): boolean {
    const lineEnd = this.#bytes.indexOf("\r\n");
    if (lineEnd < 0) return false;
    const length = Number.parseInt(this.#bytes.subarray(0, lineEnd).toString("latin1"), 16);
    const end = lineEnd + 2 + length;
    if (this.#bytes.length < end + 2) return false;
    this.body += this.#bytes.subarray(lineEnd + 2, end).toString();
    this.#bytes = this.#bytes.subarray(end + 2);
    if (length === 0) this.#end.resolve("whole");
    return length > 0;
  }
}

export interface WatchEvent {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
  readonly object: {
    readonly code?: number;
    readonly reason?: string;
    readonly metadata?: {
      readonly name?: string;
      readonly namespace?: string;
      readonly resourceVersion?: string;
      readonly annotations?: Readonly<Record<string, string>>;
    };
  };
}

export interface ListBody {
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
  readonly items: readonly { readonly metadata: { readonly name: string; readonly namespace: string } }[];
}

/** The list in an answer of 200. */
export function listIn({ status, body }: RawAnswer): ListBody {
  assert.equal(status, 200, body);
  return JSON.parse(body) as ListBody;
}

/** "namespace/name" of each object of a list, sorted. */
export function namesIn({ items }: ListBody): readonly string[] {
  return items.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`).sort();
}

/** The Status in an answer that refuses. */
export function statusIn({ body }: RawAnswer): {
  readonly kind: string;
  readonly code: number;
  readonly reason: string;
  readonly message: string;
} {
  return JSON.parse(body);
}
