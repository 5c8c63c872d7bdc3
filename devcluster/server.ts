import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { CtrlmeshError, errorCodes } from "#api/errors";
import { parseRequestInfo, type RequestInfo } from "#kube/wire/request-info";
import type { Log } from "#runtime/log";
import type { Authenticator } from "./auth/authenticate.ts";
import { impersonated } from "./auth/impersonate.ts";
import type { RbacAuthorizer } from "./auth/rbac.ts";
import type { TokenIssuer } from "./auth/tokens.ts";
import type { Faults } from "./faults.ts";
import { createHttpServer, type ServingTls } from "./http-server.ts";
import { parseQuery } from "./query.ts";
import type { RequestLog } from "./request-log.ts";
import { authorize } from "./rest/access.ts";
import { type ApiRequest, type ApiResponse, type Exchange, isGone, sendStatus } from "./rest/exchange.ts";
import { answerPath } from "./rest/path-request.ts";
import { answerResource } from "./rest/resource-request.ts";
import type { ResourceServer } from "./rest/resource-server.ts";
import { internalError, StatusError, timedOut } from "./status-error.ts";
import { anonymous, type User } from "./user.ts";

export interface ListenerDeps extends ResourceServer {
  readonly authenticator: Authenticator;
  readonly authorizer: RbacAuthorizer;
  readonly issuer: TokenIssuer;
  readonly requestLog: RequestLog;
  readonly faults: Faults;
  readonly log: Log;
  /** Offer HTTP/2 too. */
  readonly http2: boolean;
}

/** Requests that are not watches and not followed logs end by then. */
const requestTimeoutMs = 60_000;

/** The HTTPS side: connections, and the steps that every request goes through. */
export class Listener implements AsyncDisposable {
  readonly #deps: ListenerDeps;
  readonly #tls: ServingTls;
  readonly #sockets = new Set<Duplex>();
  #server: ReturnType<typeof createHttpServer> | undefined;
  readonly #running = new Set<AbortController>();

  constructor(deps: ListenerDeps, tls: ServingTls) {
    this.#deps = deps;
    this.#tls = tls;
  }

  /** @returns the port; @throws PORT_IN_USE */
  async listen(host: string, port: number): Promise<number> {
    const server = createHttpServer(
      this.#tls,
      this.#deps.http2,
      requestTimeoutMs,
      (request, response) => void this.#answer(request, response),
    );
    server.on("connection", (socket: Duplex) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
    server.on("tlsClientError", () => {});
    await new Promise<void>((resolve, reject) => {
      server.once("error", (cause) => {
        const where = `${host}:${port}`;
        reject(new CtrlmeshError("PORT_IN_USE", { what: "cannot listen", where, cause }));
      });
      server.listen(port, host, resolve);
    });
    this.#server = server;
    const address = server.address();
    return isAddressInfo(address) ? address.port : port;
  }

  /** Cuts every connection and stops listening; the storage stays. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    for (const running of this.#running) running.abort();
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #answer(request: ApiRequest, response: ApiResponse): Promise<void> {
    const ended = new AbortController();
    this.#running.add(ended);
    response.once("close", () => ended.abort());
    let current = exchangeOf(request, response, ended.signal);
    using timers = new DisposableStack();
    try {
      const info = parseRequestInfo(request.method ?? "GET", request.url ?? "/");
      const query = parseQuery(info.query);
      if (!isLongRunning(info, query)) {
        const { clock } = this.#deps.state;
        timers.use(clock.timer(requestTimeoutMs, () => ended.abort()));
      }
      current = { ...current, info, query, answered: this.#recorder(request, info, query, anonymous) };
      await this.#deps.faults.apply(info, ended.signal);
      const sender = this.#deps.authenticator.authenticate(request);
      const user = impersonated(request.headers, sender, this.#deps.authorizer);
      current = { ...current, user, answered: this.#recorder(request, info, query, user) };
      authorize(this.#deps.authorizer, user, info);
      // A path below a group that is not served is no resource: it gets the plain 404.
      if (info.isResource && this.#deps.state.registry.hasVersion(info.apiGroup, info.apiVersion))
        await answerResource(this.#deps, current);
      else answerPath(this.#deps.state.registry, this.#deps.issuer, current);
    } catch (error) {
      this.#refuse(current, error);
    } finally {
      // An open watch goes on after this; it ends with its connection.
      this.#running.delete(ended);
    }
  }

  #refuse(exchange: Exchange, error: unknown): void {
    if (isGone(exchange.response)) return;
    sendStatus(exchange, error instanceof StatusError ? error : this.#statusOf(exchange, error));
  }

  #statusOf({ info, signal }: Exchange, error: unknown): StatusError {
    if (signal.aborted) return timedOut("request did not complete within the allotted timeout");
    if (error instanceof CtrlmeshError && errorCodes[error.code].status < 500) {
      const { reason, status } = errorCodes[error.code];
      return new StatusError({ code: status, reason, message: error.message });
    }
    this.#deps.log.error("request failed", { error, verb: info.verb, resource: info.resource });
    return internalError("the server failed; its log says more");
  }

  #recorder(
    request: ApiRequest,
    info: RequestInfo,
    query: URLSearchParams,
    user: User,
  ): (status: number) => void {
    const receivedAtMs = this.#deps.state.clock.now();
    return (status) =>
      this.#deps.requestLog.tell({
        method: request.method ?? "",
        target: request.url ?? "",
        user: user.username,
        podUid: user.extra["authentication.kubernetes.io/pod-uid"]?.[0] ?? "",
        verb: info.verb,
        group: info.apiGroup,
        resource: info.resource,
        subresource: info.subresource,
        namespace: info.namespace,
        name: info.name,
        labelSelector: query.get("labelSelector") ?? "",
        fieldSelector: query.get("fieldSelector") ?? "",
        userAgent: request.headers["user-agent"] ?? "",
        status,
        receivedAtMs,
      });
  }
}

/** Before the request line is understood. */
function exchangeOf(request: ApiRequest, response: ApiResponse, signal: AbortSignal): Exchange {
  const info: RequestInfo = {
    isResource: false,
    verb: "",
    apiPrefix: "",
    apiGroup: "",
    apiVersion: "",
    namespace: "",
    resource: "",
    subresource: "",
    name: "",
    path: "",
    query: "",
  };
  return {
    request,
    response,
    info,
    query: new URLSearchParams(),
    user: anonymous,
    warnings: [],
    signal,
    answered: () => {},
  };
}

function isLongRunning({ verb, subresource }: RequestInfo, query: URLSearchParams): boolean {
  return verb === "watch" || (subresource === "log" && query.has("follow"));
}

function isAddressInfo(address: AddressInfo | string | null): address is AddressInfo {
  return typeof address === "object" && address !== null;
}
