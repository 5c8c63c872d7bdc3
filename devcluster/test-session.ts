import { request as httpsRequest } from "node:https";
import { silentLog } from "#runtime/log";
import { isObject, type JsonObject, objectOf } from "./json.ts";
import { type ApiServer, type ApiServerOptions, startApiServer } from "./main.ts";

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  /** The parsed body; {} when it is no object. */
  readonly body: JsonObject;
}

export interface CallOptions {
  readonly body?: unknown;
  readonly token?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A server and a client of it, for tests of both together over real TLS. */
export class TestSession implements AsyncDisposable {
  readonly server: ApiServer;

  private constructor(server: ApiServer) {
    this.server = server;
  }

  static async start(options: Partial<ApiServerOptions> = {}): Promise<TestSession> {
    return new TestSession(await startApiServer({ port: 0, log: silentLog, ...options }));
  }

  call(method: string, path: string, options: CallOptions = {}): Promise<Answer> {
    const { body, token = this.server.adminToken, headers = {} } = options;
    const text = typeof body === "string" || body === undefined ? body : JSON.stringify(body);
    return new Promise((resolve, reject) => {
      const call = httpsRequest(
        `${this.server.url}${path}`,
        {
          method,
          ca: this.server.caPem,
          agent: false,
          headers: {
            "content-type": "application/json",
            "user-agent": "test/1",
            ...(token === "" ? {} : { authorization: `Bearer ${token}` }),
            // Node adds no length to a DELETE of its own accord.
            ...(text === undefined ? {} : { "content-length": String(Buffer.byteLength(text)) }),
            ...headers,
          },
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on("data", (chunk: Buffer) => chunks.push(chunk));
          response.on("error", reject);
          response.on("end", () => {
            const answer = Buffer.concat(chunks).toString();
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              text: answer,
              body: parsed(answer),
            });
          });
        },
      );
      call.on("error", reject);
      call.end(text);
    });
  }

  get(path: string): Promise<Answer> {
    return this.call("GET", path);
  }

  post(path: string, body: unknown): Promise<Answer> {
    return this.call("POST", path, { body });
  }

  /** @param type as in `application/<type>-patch+json` */
  patch(path: string, type: "merge" | "json" | "strategic-merge", body: unknown): Promise<Answer> {
    return this.call("PATCH", path, { body, headers: { "content-type": `application/${type}-patch+json` } });
  }

  apply(path: string, body: unknown): Promise<Answer> {
    return this.call("PATCH", path, { body, headers: { "content-type": "application/apply-patch+yaml" } });
  }

  watch(path: string, headers: Readonly<Record<string, string>> = {}): TestWatch {
    return new TestWatch(this.server, path, headers);
  }

  /** Asks again until the answer is as wanted; rejects with what was wanted after five seconds. */
  async until(what: string, path: string, isWanted: (answer: Answer) => boolean): Promise<Answer> {
    const deadline = performance.now() + 5_000;
    for (;;) {
      const answer = await this.get(path);
      if (isWanted(answer)) return answer;
      if (performance.now() > deadline) throw new Error(`waited for: ${what}; last: ${answer.text}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
  }
}

/** An open watch whose events are taken one after the other. */
export class TestWatch implements Disposable {
  readonly #abort = new AbortController();
  readonly #events: JsonObject[] = [];
  #waiting: (() => void) | undefined;
  #text = "";
  #ended = false;

  constructor(server: ApiServer, path: string, headers: Readonly<Record<string, string>>) {
    const call = httpsRequest(
      `${server.url}${path}`,
      {
        ca: server.caPem,
        agent: false,
        signal: this.#abort.signal,
        headers: { authorization: `Bearer ${server.adminToken}`, "user-agent": "test/1", ...headers },
      },
      (response) => {
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => this.#take(chunk));
        response.on("close", () => this.#end());
        response.on("error", () => this.#end());
      },
    );
    call.on("error", () => this.#end());
    call.end();
  }

  #take(chunk: string): void {
    const lines = (this.#text + chunk).split("\n");
    this.#text = lines.pop() ?? "";
    for (const line of lines) this.#events.push(parsed(line));
    this.#waiting?.();
  }

  #end(): void {
    this.#ended = true;
    this.#waiting?.();
  }

  /** The next event; rejects when none comes in five seconds or the watch ends first. */
  async next(): Promise<JsonObject> {
    const event = await this.nextOrEnd();
    if (event === undefined) throw new Error("the watch ended, an event was expected");
    return event;
  }

  /** undefined: the server ended the watch. */
  async nextOrEnd(): Promise<JsonObject | undefined> {
    const deadline = performance.now() + 5_000;
    while (this.#events.length === 0) {
      if (this.#ended) return undefined;
      if (performance.now() > deadline) throw new Error("no watch event came within five seconds");
      await new Promise<void>((resolve) => {
        const timeout = setTimeout(resolve, 100);
        this.#waiting = () => {
          clearTimeout(timeout);
          resolve();
        };
      });
    }
    return this.#events.shift();
  }

  /** "TYPE name", of the next event. */
  async nextName(): Promise<string> {
    const { type, object } = await this.next();
    return `${String(type)} ${String(objectOf(objectOf(object).metadata).name)}`;
  }

  [Symbol.dispose](): void {
    this.#abort.abort();
  }
}

function parsed(text: string): JsonObject {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}
