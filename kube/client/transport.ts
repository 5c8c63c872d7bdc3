import { Agent, type Dispatcher, ProxyAgent } from "undici";
import { CtrlmeshError } from "#api/errors";
import type { Authentication, Credentials, TlsMaterial } from "./credentials.ts";

export interface TransportRequest {
  readonly method: Dispatcher.HttpMethod;
  /** From the first slash, query included. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
  readonly signal: AbortSignal;
}

/**
 * Sockets to one API server. Follows credentials: when CA or client certificate change, later requests use
 * connections of their own, and the earlier ones end with their last answer.
 */
export class Transport implements AsyncDisposable {
  readonly #credentials: Credentials;
  #tls: TlsMaterial | undefined;
  #dispatcher: Dispatcher | undefined;
  readonly #closing = new Set<Promise<void>>();
  #disposed = false;

  constructor(credentials: Credentials) {
    this.#credentials = credentials;
  }

  /**
   * One exchange without retries; resolves with the response's head. Timeouts are the caller's, by signal.
   * @throws API_UNREACHABLE when no answer came; the signal's reason when it aborted
   */
  async send(request: TransportRequest): Promise<Dispatcher.ResponseData> {
    const response = await this.#exchange(request, await this.#credentials.current(false));
    if (response.statusCode !== 401) return response;
    // A token that was just rotated: the mounted file knows better than our copy.
    await response.body.dump();
    return await this.#exchange(request, await this.#credentials.current(true));
  }

  async #exchange(request: TransportRequest, auth: Authentication): Promise<Dispatcher.ResponseData> {
    const { server } = this.#credentials;
    const prefix = server.pathname === "/" ? "" : server.pathname.replace(/\/$/, "");
    const attempt = () =>
      this.#dispatcherFor(auth.tls).request({
        origin: server.origin,
        method: request.method,
        path: prefix + request.path,
        headers: { ...request.headers, ...auth.headers },
        body: request.body ?? null,
        signal: request.signal,
        // A watch may be silent for long; whoever waits for an answer bounds it by the signal.
        headersTimeout: 0,
        bodyTimeout: 0,
      });
    try {
      try {
        return await attempt();
      } catch (failed) {
        // The server may have closed an idle connection just as we wrote to it; only a read can be repeated blindly.
        if (request.method !== "GET" || !isLostConnection(failed) || request.signal.aborted) throw failed;
        return await attempt();
      }
    } catch (failed) {
      request.signal.throwIfAborted();
      throw unreachableServer(failed, server);
    }
  }

  #dispatcherFor(tls: TlsMaterial): Dispatcher {
    if (this.#disposed) {
      throw new CtrlmeshError("API_UNREACHABLE", {
        what: "the connection to the API server was closed by us",
      });
    }
    if (this.#dispatcher !== undefined && this.#tls !== undefined && sameTls(this.#tls, tls)) {
      return this.#dispatcher;
    }
    const previous = this.#dispatcher;
    if (previous !== undefined) this.#retire(previous);
    this.#tls = tls;
    this.#dispatcher = dispatcher(this.#credentials, tls);
    return this.#dispatcher;
  }

  #retire(previous: Dispatcher): void {
    const closed = previous.close().finally(() => this.#closing.delete(closed));
    this.#closing.add(closed);
    closed.catch(() => undefined); // destroyed by dispose meanwhile
  }

  /** Ends running requests too. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    await this.#dispatcher?.destroy();
    await Promise.allSettled([...this.#closing]);
  }
}

function dispatcher(credentials: Credentials, tls: TlsMaterial): Dispatcher {
  const material = Object.fromEntries(Object.entries(tls).filter(([, value]) => value !== undefined));
  // A half-open connection is noticed by the kernel after about 30 s + 9 probes; the informer's own deadline
  // is shorter where it matters.
  const connect = { ...material, keepAlive: true, keepAliveInitialDelay: 30_000, timeout: 10_000 };
  const options = {
    // A write that is aborted before its head went out makes Node's HTTP/2 send empty DATA frames without end, in
    // one step of the event loop (seen with Node 24.21): the process stands still and takes all memory.
    allowH2: false,
    // The API server closes idle connections after some minutes; load balancers in front of it from 60 s.
    keepAliveTimeout: 30_000,
    keepAliveMaxTimeout: 55_000,
    maxHeaderSize: 65_536,
  };
  if (credentials.proxyUrl === undefined) return new Agent({ ...options, connect });
  return new ProxyAgent({ ...options, uri: credentials.proxyUrl, requestTls: connect });
}

function sameTls(a: TlsMaterial, b: TlsMaterial): boolean {
  return (
    a.ca === b.ca &&
    a.cert === b.cert &&
    a.key === b.key &&
    a.servername === b.servername &&
    a.rejectUnauthorized === b.rejectUnauthorized
  );
}

function isLostConnection(failed: unknown): boolean {
  const code = codeOf(failed);
  return code === "UND_ERR_SOCKET" || code === "ECONNRESET" || code === "EPIPE";
}

/** The error for a request that got no answer. */
export function unreachableServer(failed: unknown, server: URL): CtrlmeshError {
  if (failed instanceof CtrlmeshError) return failed;
  const code = codeOf(failed);
  const reason = failed instanceof Error ? failed.message || failed.name : String(failed);
  return new CtrlmeshError("API_UNREACHABLE", {
    what: code === undefined || reason.includes(code) ? reason : `${code} ${reason}`,
    where: server.origin,
    cause: failed,
  });
}

function codeOf(failed: unknown): string | undefined {
  if (!(failed instanceof Error) || !("code" in failed)) return undefined;
  return typeof failed.code === "string" ? failed.code : undefined;
}
