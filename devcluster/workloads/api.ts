import { Agent, type RequestOptions, request } from "node:https";
import { CtrlmeshError } from "#api/errors";
import type { KubernetesObject } from "#api/meta";

/** Where the embedded API server is and who asks. */
export interface ApiAddress {
  readonly url: string;
  readonly caPem: string;
  readonly token: string;
}

export interface ApiAnswer {
  readonly status: number;
  readonly body: KubernetesObject;
}

export interface ApiEvent {
  readonly type: string;
  readonly object: KubernetesObject;
}

/** The few calls that the workload controllers make, over HTTPS like any other client's. */
export class WorkloadApi implements AsyncDisposable {
  readonly #address: ApiAddress;
  readonly #agent: Agent;

  constructor(address: ApiAddress) {
    this.#address = address;
    this.#agent = new Agent({ ca: address.caPem, keepAlive: true, maxSockets: 64 });
  }

  /** Any status is an answer; only a connection that fails throws (API_UNREACHABLE). */
  call(method: string, path: string, body?: unknown, contentType = "application/json"): Promise<ApiAnswer> {
    return new Promise((resolve, reject) => {
      const text = body === undefined ? "" : JSON.stringify(body);
      const options = this.#options(method, path, contentType);
      // Node announces no length for the body of a DELETE, so it is said here for all.
      const headers = { ...options.headers, "content-length": Buffer.byteLength(text) };
      const outgoing = request({ ...options, headers }, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          const answer = Buffer.concat(chunks).toString("utf8");
          resolve({ status: response.statusCode ?? 0, body: parseObject(answer) });
        });
      });
      outgoing.on("error", (cause) => reject(unreachable(this.#address.url, cause)));
      outgoing.end(text);
    });
  }

  /** Like call, but throws API_REQUEST_FAILED unless the status is below 300 or one of `expected`. */
  async expect(
    method: string,
    path: string,
    body?: unknown,
    expected: readonly number[] = [],
  ): Promise<ApiAnswer> {
    const contentType = method === "PATCH" ? "application/merge-patch+json" : "application/json";
    const answer = await this.call(method, path, body, contentType);
    if (answer.status < 300 || expected.includes(answer.status)) return answer;
    throw new CtrlmeshError("API_REQUEST_FAILED", {
      where: `${method} ${path}`,
      what: `${answer.status} ${String(answer.body.message ?? "")}`,
    });
  }

  /** Events of a path until the server or the signal ends the watch. */
  async *watch(path: string, resourceVersion: string, signal: AbortSignal): AsyncGenerator<ApiEvent> {
    const separator = path.includes("?") ? "&" : "?";
    const target = `${path}${separator}watch=true&resourceVersion=${resourceVersion}`;
    const outgoing = request({ ...this.#options("GET", target, undefined), signal });
    const response = await new Promise<import("node:http").IncomingMessage>((resolve, reject) => {
      outgoing.on("response", resolve);
      outgoing.on("error", (cause) => reject(unreachable(this.#address.url, cause)));
      outgoing.end();
    });
    if (response.statusCode !== 200) {
      response.resume();
      throw new CtrlmeshError("API_REQUEST_FAILED", { where: target, what: `status ${response.statusCode}` });
    }
    let rest = "";
    response.setEncoding("utf8");
    for await (const chunk of response as AsyncIterable<string>) {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) if (line !== "") yield JSON.parse(line) as ApiEvent;
    }
  }

  #options(
    method: string,
    path: string,
    contentType: string | undefined,
  ): RequestOptions & { headers: Record<string, string> } {
    const { hostname, port } = new URL(this.#address.url);
    return {
      method,
      host: hostname,
      port,
      path,
      agent: this.#agent,
      headers: {
        authorization: `Bearer ${this.#address.token}`,
        accept: "application/json",
        ...(contentType === undefined ? {} : { "content-type": contentType }),
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#agent.destroy();
  }
}

function parseObject(text: string): KubernetesObject {
  try {
    return JSON.parse(text) as KubernetesObject;
  } catch {
    return { message: text.slice(0, 200) };
  }
}

function unreachable(url: string, cause: Error): CtrlmeshError {
  return new CtrlmeshError("API_UNREACHABLE", { where: url, what: cause.message, cause });
}
