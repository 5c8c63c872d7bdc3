import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { CtrlmeshError } from "#api/errors";
import { type Health, type HealthKind, renderHealth } from "#runtime/health";
import { type Metrics, metricsContentType } from "#runtime/metrics";

interface AdminServerOptions {
  readonly host: string;
  readonly port: number;
  readonly health: Health;
  readonly metrics: Metrics;
}

/** A probe or a scraper sends a few hundred bytes and waits for the answer. */
const requestTimeoutMs = 5_000;
const connectionsLimit = 64;

const probes: Readonly<Record<string, HealthKind>> = {
  "/healthz": "live",
  "/readyz": "ready",
  "/startupz": "started",
};

/**
 * Probes and metrics on the pod's address. Read only, without credentials, and without profiling, since everybody in
 * the cluster's network can reach it: nothing here names an object.
 */
export class AdminServer implements AsyncDisposable {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** @throws PORT_IN_USE when the address can't be listened on */
  static listen(options: AdminServerOptions): Promise<AdminServer> {
    const server = createServer(
      { requestTimeout: requestTimeoutMs, headersTimeout: requestTimeoutMs, maxHeaderSize: 8192 },
      (request, response) =>
        answer(request, response, options).catch(() => {
          // A page that can't be made must not end the process that carries the operator's requests.
          if (!response.headersSent) send(response, 500, "text/plain; charset=utf-8", "internal error\n");
        }),
    );
    server.maxConnections = connectionsLimit;
    const { host, port } = options;
    return new Promise((resolve, reject) => {
      server.once("error", (cause) =>
        reject(new CtrlmeshError("PORT_IN_USE", { what: cause.message, where: `${host}:${port}`, cause })),
      );
      server.listen({ host, port }, () => resolve(new AdminServer(server)));
    });
  }

  /** The port that is listened on. */
  get port(): number {
    const address = this.#server.address();
    return address !== null && typeof address === "object" ? address.port : 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: AdminServerOptions,
): Promise<void> {
  const { health, metrics } = options;
  const [path = "", query = ""] = (request.url ?? "").split("?");
  if (request.method !== "GET" && request.method !== "HEAD") {
    send(response, 405, "text/plain; charset=utf-8", "only GET and HEAD\n");
    return;
  }
  if (path === "/metrics") {
    send(response, 200, metricsContentType, await metrics.render());
    return;
  }
  const kind = Object.hasOwn(probes, path) ? probes[path] : undefined;
  if (kind === undefined) {
    send(response, 404, "text/plain; charset=utf-8", `${Object.keys(probes).join(" ")} /metrics\n`);
    return;
  }
  const wantsJson = query === "json" || (request.headers.accept ?? "").includes("application/json");
  const { status, contentType, body } = renderHealth(health.report(kind), wantsJson ? "json" : "text");
  send(response, status, contentType, body);
}

function send(response: ServerResponse, status: number, contentType: string, body: string): void {
  // The body goes along for HEAD too: Node leaves it out and keeps its length.
  response.writeHead(status, { "content-type": contentType, "content-length": Buffer.byteLength(body) });
  response.end(body);
}
