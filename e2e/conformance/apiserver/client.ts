import { Agent, request } from "node:https";
import type { Target } from "./target.ts";

export type Json = Readonly<Record<string, unknown>>;

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** As they came, before any decoding. */
  readonly bytes: Buffer;
  readonly text: string;
  /** The parsed body; {} when it is no JSON object. */
  readonly body: Json;
}

export interface CallOptions {
  /** A string or bytes go as they are. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Default: the administrator's client certificate. "" sends no credentials. */
  readonly token?: string;
}

export type PatchType = "json" | "merge" | "strategic-merge";

/** How long an answer, an event or a condition may take before a case fails. */
const patienceMs = 15_000;

/** A client that sends requests as they are written and hides nothing of the answers. */
export class Api implements Disposable {
  readonly target: Target;
  readonly #admin: Agent;
  readonly #others: Agent;
  #namespaces = 0;

  constructor(target: Target) {
    const { caPem: ca, clientCertificate: cert, clientKey: key } = target;
    this.target = target;
    this.#admin = new Agent({ ca, cert, key, keepAlive: true });
    this.#others = new Agent({ ca, keepAlive: true });
  }

  call(method: string, path: string, options: CallOptions = {}): Promise<Answer> {
    const { body, headers = {}, token } = options;
    const bytes = bytesOf(body);
    return new Promise((resolve, reject) => {
      const call = request(
        `${this.target.url}${path}`,
        {
          method,
          agent: token === undefined ? this.#admin : this.#others,
          timeout: patienceMs,
          headers: {
            "user-agent": "conformance/1",
            ...(bytes === undefined
              ? {}
              : { "content-type": "application/json", "content-length": String(bytes.length) }),
            ...(token === undefined || token === "" ? {} : { authorization: `Bearer ${token}` }),
            ...headers,
          },
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on("data", (chunk: Buffer) => chunks.push(chunk));
          response.on("error", reject);
          response.on("end", () => {
            const whole = Buffer.concat(chunks);
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              bytes: whole,
              text: whole.toString(),
              body: parsed(whole.toString()),
            });
          });
        },
      );
      call.on("timeout", () => call.destroy(new Error(`${method} ${path}: no answer in ${patienceMs} ms`)));
      call.on("error", reject);
      call.end(bytes);
    });
  }

  get(path: string, options?: CallOptions): Promise<Answer> {
    return this.call("GET", path, options);
  }

  post(path: string, body: unknown, options: CallOptions = {}): Promise<Answer> {
    return this.call("POST", path, { ...options, body });
  }

  put(path: string, body: unknown, options: CallOptions = {}): Promise<Answer> {
    return this.call("PUT", path, { ...options, body });
  }

  delete(path: string, body?: unknown): Promise<Answer> {
    return this.call("DELETE", path, { body });
  }

  patch(path: string, type: PatchType, body: unknown): Promise<Answer> {
    return this.call("PATCH", path, { body, headers: { "content-type": `application/${type}-patch+json` } });
  }

  apply(path: string, body: unknown): Promise<Answer> {
    return this.call("PATCH", path, { body, headers: { "content-type": "application/apply-patch+yaml" } });
  }

  watch(path: string, headers: Readonly<Record<string, string>> = {}): WatchStream {
    return new WatchStream(this.target.url, path, this.#admin, headers);
  }

  /** A new object that must be accepted. */
  async made(path: string, object: unknown): Promise<Json> {
    const answer = await this.post(path, object);
    if (answer.status !== 201) throw new Error(`POST ${path}: ${answer.status} ${answer.text}`);
    return answer.body;
  }

  /** Makes a namespace of its own for a case, and waits for its default service account. */
  async namespace(labels: Json = {}): Promise<string> {
    const name = `case-${++this.#namespaces}`;
    await this.made("/api/v1/namespaces", { metadata: { name, labels } });
    return name;
  }

  /** Asks again until the answer is as wanted. Rejects with what was wanted. */
  async until(what: string, path: string, isWanted: (answer: Answer) => boolean): Promise<Answer> {
    const deadline = performance.now() + patienceMs;
    for (;;) {
      const answer = await this.get(path);
      if (isWanted(answer)) return answer;
      if (performance.now() > deadline) throw new Error(`waited for: ${what}; last: ${answer.text}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  [Symbol.dispose](): void {
    this.#admin.destroy();
    this.#others.destroy();
  }
}

/** An open watch, or its refusal. */
export class WatchStream implements Disposable {
  readonly #abort = new AbortController();
  readonly #lines: string[] = [];
  readonly #opened: Promise<{ status: number; headers: Answer["headers"] }>;
  #wake: () => void = () => {};
  #rest = "";
  #ended = false;

  constructor(url: string, path: string, agent: Agent, headers: Readonly<Record<string, string>>) {
    this.#opened = new Promise((resolve, reject) => {
      const call = request(
        `${url}${path}`,
        { agent, signal: this.#abort.signal, headers: { "user-agent": "conformance/1", ...headers } },
        (response) => {
          resolve({ status: response.statusCode ?? 0, headers: response.headers });
          response.setEncoding("utf8");
          response.on("data", (chunk: string) => this.#take(chunk));
          response.on("close", () => this.#end());
          response.on("error", () => this.#end());
        },
      );
      call.on("error", (error) => {
        reject(error);
        this.#end();
      });
      call.end();
    });
    this.#opened.catch(() => {});
  }

  /** Resolves with the head of the answer. */
  head(): Promise<{ status: number; headers: Answer["headers"] }> {
    return this.#opened;
  }

  #take(chunk: string): void {
    const lines = (this.#rest + chunk).split("\n");
    this.#rest = lines.pop() ?? "";
    this.#lines.push(...lines);
    this.#wake();
  }

  #end(): void {
    this.#ended = true;
    this.#wake();
  }

  /** The next event; undefined when the server ended the watch. Rejects when neither comes. */
  async nextOrEnd(): Promise<WatchEvent | undefined> {
    const late = setTimeout(() => this.#abort.abort(), patienceMs);
    try {
      while (this.#lines.length === 0) {
        if (this.#abort.signal.aborted) throw new Error(`no watch event in ${patienceMs} ms`);
        if (this.#ended) return undefined;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      clearTimeout(late);
    }
    const event = parsed(this.#lines.shift() ?? "");
    return { type: String(event.type), object: event.object as Json };
  }

  async next(): Promise<WatchEvent> {
    const event = await this.nextOrEnd();
    if (event === undefined) throw new Error("the watch ended where an event was expected");
    return event;
  }

  /** "TYPE name" of as many events. */
  async names(count: number): Promise<string[]> {
    const names: string[] = [];
    while (names.length < count) {
      const { type, object } = await this.next();
      names.push(`${type} ${String((object.metadata as Json).name)}`);
    }
    return names;
  }

  [Symbol.dispose](): void {
    this.#abort.abort();
  }
}

export interface WatchEvent {
  readonly type: string;
  readonly object: Json;
}

function bytesOf(body: unknown): Buffer | undefined {
  if (body === undefined || Buffer.isBuffer(body)) return body;
  return Buffer.from(typeof body === "string" ? body : JSON.stringify(body));
}

export function parsed(text: string): Json {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Json) : {};
  } catch {
    return {};
  }
}
