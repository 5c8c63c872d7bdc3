import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { TlsOptions } from "node:tls";
import { CtrlmeshError } from "#api/errors";
import type { Clock } from "#runtime/clock";
import type { HostAndPort } from "#runtime/setting-types";

const headLimitBytes = 16 * 1024;
const headTimeoutMs = 10_000;
/** The API server waits 30 s at most for an answer, so no request is of use for longer. */
const requestTimeoutMs = 30_000;
/** Longer than Go's clients keep an idle connection (90 s): they close it, and no request meets a closing one. */
const idleTimeoutMs = 120_000;
const connectionsLimit = 512;
/** Reviews that run when the proxy ends get so long. */
const closingMs = 2_000;

/** An HTTPS listener that ends in order. */
export class Listener implements AsyncDisposable {
  readonly server: Server;
  readonly #clock: Clock;

  private constructor(server: Server, clock: Clock) {
    this.server = server;
    this.#clock = clock;
  }

  /** @throws PORT_IN_USE when the address can't be listened on */
  static listen(
    { host, port }: HostAndPort,
    tls: TlsOptions,
    deps: {
      readonly clock: Clock;
      readonly answer: (request: IncomingMessage, response: ServerResponse) => void;
    },
  ): Promise<Listener> {
    const server = createServer(
      {
        ...tls,
        maxHeaderSize: headLimitBytes,
        headersTimeout: headTimeoutMs,
        requestTimeout: requestTimeoutMs,
        keepAliveTimeout: idleTimeoutMs,
      },
      deps.answer,
    );
    server.maxConnections = connectionsLimit;
    return new Promise((resolve, reject) => {
      server.once("error", (cause) =>
        reject(new CtrlmeshError("PORT_IN_USE", { what: cause.message, where: `${host}:${port}`, cause })),
      );
      server.listen({ host, port }, () => resolve(new Listener(server, deps.clock)));
    });
  }

  get port(): number {
    const address = this.server.address();
    return address !== null && typeof address === "object" ? address.port : 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    using _limit = this.#clock.timer(closingMs, () => this.server.closeAllConnections());
    await closed;
  }
}
