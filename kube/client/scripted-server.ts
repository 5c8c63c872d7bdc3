import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type Clock, systemClock } from "#runtime/clock";
import { HttpClient } from "./http-client.ts";
import { RateLimiter } from "./rate-limit.ts";
import { Transport } from "./transport.ts";

/** A request as it arrived. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

export type Answer = (request: SeenRequest, response: ServerResponse) => void;

/** An HTTP server for tests that answers as the test says, and a client that talks to it over a real socket. */
export interface ScriptedServer extends AsyncDisposable {
  readonly client: HttpClient;
  readonly url: URL;
  readonly seen: SeenRequest[];
  /** Resolves with the n-th request (from 1) as soon as it is there; fails after 5 s. */
  request(n: number): Promise<SeenRequest>;
}

/** Starts one on a free port of 127.0.0.1. */
export async function scriptedServer(answer: Answer, clock: Clock = systemClock): Promise<ScriptedServer> {
  const seen: SeenRequest[] = [];
  const watchers = new Set<() => void>();
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      const url = new URL(request.url ?? "/", "http://localhost");
      const { method = "", headers } = request;
      const body = Buffer.concat(parts).toString("utf8");
      const one = { method, path: url.pathname, query: url.searchParams, headers, body };
      seen.push(one);
      for (const watcher of [...watchers]) watcher();
      answer(one, response);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const tls = {
    ca: undefined,
    cert: undefined,
    key: undefined,
    servername: undefined,
    rejectUnauthorized: undefined,
  };
  const transport = new Transport({
    server: url,
    namespace: undefined,
    proxyUrl: undefined,
    current: async (refresh) => ({
      tls,
      headers: { authorization: refresh ? "Bearer fresh" : "Bearer old" },
    }),
  });
  const limiter = new RateLimiter({ qps: 0, burst: 0 }, clock);
  return {
    client: new HttpClient({ transport, limiter, clock, random: () => 0, userAgent: "test/1" }),
    url,
    seen,
    request: (n) => nthRequest(n, seen, watchers),
    [Symbol.asyncDispose]: async () => {
      await transport[Symbol.asyncDispose]();
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

async function nthRequest(n: number, seen: SeenRequest[], watchers: Set<() => void>): Promise<SeenRequest> {
  const arrived = Promise.withResolvers<void>();
  const check = () => seen.length >= n && arrived.resolve();
  const timeout = setTimeout(
    () => arrived.reject(new Error(`request ${n} did not come, seen ${seen.length}`)),
    5000,
  );
  watchers.add(check);
  check();
  try {
    await arrived.promise;
  } finally {
    clearTimeout(timeout);
    watchers.delete(check);
  }
  const request = seen[n - 1];
  if (request === undefined) throw new Error(`request ${n} is gone`);
  return request;
}

/** Answers with JSON. */
export function respond(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
) {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(JSON.stringify(body));
}

/** A Status as the API server writes it. */
export function status(code: number, reason: string, message: string, metadata: object = {}) {
  return { kind: "Status", apiVersion: "v1", status: "Failure", code, reason, message, metadata };
}
