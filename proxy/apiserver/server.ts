import type { AddressInfo, Server as NetServer, Socket } from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";
import { CtrlmeshError } from "#api/errors";
import type { Clock } from "#runtime/clock";
import type { Log } from "#runtime/log";
import type { CompiledSnapshot } from "../snapshot.ts";
import { cipherPreference, loopbackGroups } from "../transport/ciphers.ts";
import { type Protocol, type UpstreamAddress, UpstreamDialer } from "../transport/upstream.ts";
import { WriteBatch } from "../transport/write-batch.ts";
import type { ClientConnection, ConnectionDeps } from "./client-connection.ts";
import type { DataPlaneCounters } from "./counters.ts";
import type { FloorTable } from "./floor.ts";
import { listenAlso, socketOptions } from "./further-listener.ts";
import { Http1Connection } from "./http1/connection.ts";
import { Http2Connection } from "./http2/connection.ts";
import type { Decision, RequestFacts, Rules } from "./pipeline.ts";
import { RunningRequests, type SwitchOutcome } from "./running-requests.ts";
import { UpstreamProtocol } from "./upstream-protocol.ts";

const connectTimeoutMs = 10_000;
/** How long the listener waits to hear which protocol the API server speaks. */
const firstProtocolMs = 1_000;
/** Clients on loopback finish a handshake in milliseconds. */
const defaultHandshakeTimeoutMs = 10_000;
/** The ends of watches at a drain are spread over this time, so that their clients do not come back all at once. */
const watchEndSpreadMs = 2_000;

/** Key and certificate chain (leaf first) of the loopback listener, both PEM. */
export interface ServingIdentity {
  readonly privateKeyPem: string;
  readonly certificateChainPem: string;
}

export interface ApiserverProxyOptions {
  readonly listen: { readonly host: string; readonly port: number };
  /** Further addresses of the same listener; default: none. */
  readonly alsoListen?: readonly { readonly host: string; readonly port: number }[];
  readonly upstream: UpstreamAddress;
  readonly identity: ServingIdentity;
  /** In force from the start; undefined: every request is answered 429 until `switchTo`. */
  readonly snapshot: CompiledSnapshot | undefined;
  readonly floors: FloorTable;
  /** `decide` of pipeline.ts: what becomes of each request. */
  decide(request: RequestFacts, rules: Rules): Decision;
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: DataPlaneCounters;
  /** [0, 1). */
  random(): number;
  /** Whether clients are offered HTTP/2 while the API server speaks it. */
  readonly http2: boolean;
  /** Default 10 s. */
  readonly handshakeTimeoutMs?: number;
}

export interface ApiserverProxy extends AsyncDisposable {
  readonly address: { readonly host: string; readonly port: number };
  readonly snapshot: CompiledSnapshot | undefined;
  /** Lists and watches that still run under another view than the one in force. */
  readonly requestsOnOlderView: number;
  /** See `RunningRequests.switchTo`. */
  switchTo(next: CompiledSnapshot, signal: AbortSignal): Promise<SwitchOutcome>;
  /** Serves new connections with another certificate; open ones stay. @throws INVALID_CERTIFICATE */
  useIdentity(identity: ServingIdentity): void;
  /**
   * Ends the service gracefully: accepts nothing new, closes idle connections, lets running requests finish, then
   * ends watches between two events. When the signal aborts, what is left is cut. Resolves when no connection is
   * left; never rejects.
   */
  drain(signal: AbortSignal): Promise<void>;
}

/**
 * Listens for the operator's API requests: TLS, HTTP/1.1, and HTTP/2 while the API server speaks it.
 *
 * @throws PORT_IN_USE, INVALID_CERTIFICATE
 */
export async function createApiserverProxy(options: ApiserverProxyOptions): Promise<ApiserverProxy> {
  const proxy = new Listener(options);
  try {
    await proxy.listen();
  } catch (error) {
    await proxy[Symbol.asyncDispose]();
    throw error;
  }
  return proxy;
}

class Listener implements ApiserverProxy {
  readonly #options: ApiserverProxyOptions;
  readonly #server: Server;
  readonly #further: NetServer[] = [];
  readonly #running: RunningRequests;
  readonly #dialer: UpstreamDialer;
  readonly #batch = new WriteBatch();
  readonly #protocol: UpstreamProtocol;
  readonly #connections = new Set<ClientConnection>();
  readonly #timers = new Set<Disposable>();
  /** Also those whose TLS handshake is not over. */
  readonly #sockets = new Set<Socket>();
  readonly #whenEmpty = new Set<() => void>();
  #draining = false;
  #rules: Rules | undefined;

  constructor(options: ApiserverProxyOptions) {
    this.#options = options;
    const { clock, upstream, snapshot, counters } = options;
    this.#running = new RunningRequests(snapshot, options);
    this.#dialer = new UpstreamDialer({ address: upstream, clock, connectTimeoutMs });
    this.#protocol = new UpstreamProtocol({ ...options, probe: () => this.#dialer.probe() });
    this.#server = createServer({
      ALPNCallback: ({ protocols }) => this.#chooseProtocol(protocols),
      ...socketOptions,
      handshakeTimeout: options.handshakeTimeoutMs ?? defaultHandshakeTimeoutMs,
    });
    this.useIdentity(options.identity);
    this.#server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
    this.#server.on("secureConnection", (client) => this.#accept(client));
    this.#server.on("tlsClientError", (_error, client) => {
      counters.handshakeFailures++;
      // Nobody else does, not even behind the handshake's timeout: a client that went away in the middle of its
      // handshake would cost a socket for ever.
      client.destroy();
    });
  }

  get address(): { readonly host: string; readonly port: number } {
    const address = this.#server.address();
    return isAddressInfo(address)
      ? { host: address.address, port: address.port }
      : { host: this.#options.listen.host, port: this.#options.listen.port };
  }

  get snapshot(): CompiledSnapshot | undefined {
    return this.#running.snapshot;
  }

  get requestsOnOlderView(): number {
    return this.#running.onOlderView;
  }

  /** What both sides speak; undefined ends the handshake (RFC 7301 section 3.2). */
  #chooseProtocol(offered: readonly string[]): Protocol | undefined {
    if (this.#protocol.current === "h2" && offered.includes("h2")) return "h2";
    return offered.includes("http/1.1") ? "http/1.1" : undefined;
  }

  async listen(): Promise<void> {
    if (this.#options.http2) await this.#firstProtocol();
    await this.#listen();
    for (const address of this.#options.alsoListen ?? []) {
      const further = await listenAlso(address, this.#server, this.#options.log);
      if (further !== undefined) this.#further.push(further);
    }
  }

  /** Clients keep a connection, and so its protocol, for long: the first ones are worth a moment. */
  async #firstProtocol(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    using _timer = this.#options.clock.timer(firstProtocolMs, resolve);
    await Promise.race([this.#protocol.ask(), promise]);
  }

  #listen(): Promise<void> {
    const { host, port } = this.#options.listen;
    return new Promise((resolve, reject) => {
      this.#server.once("error", (cause) =>
        reject(new CtrlmeshError("PORT_IN_USE", { what: cause.message, where: `${host}:${port}`, cause })),
      );
      this.#server.listen({ host, port }, () => {
        this.#server.removeAllListeners("error");
        this.#server.on("error", (error) => this.#options.log.error("listener failed", { error }));
        resolve();
      });
    });
  }

  switchTo(next: CompiledSnapshot, signal: AbortSignal): Promise<SwitchOutcome> {
    return this.#running.switchTo(next, signal);
  }

  useIdentity({ privateKeyPem, certificateChainPem }: ServingIdentity): void {
    try {
      this.#server.setSecureContext({
        key: privateKeyPem,
        cert: certificateChainPem,
        ciphers: cipherPreference,
        ecdhCurve: loopbackGroups,
        honorCipherOrder: true,
        minVersion: "TLSv1.2",
      });
    } catch (cause) {
      throw new CtrlmeshError("INVALID_CERTIFICATE", {
        what: "the serving certificate can't be used",
        cause,
      });
    }
  }

  /** Asked for each request, so made anew only when one of its parts is another. */
  #currentRules(): Rules {
    const { snapshot } = this.#running;
    if (this.#rules?.snapshot !== snapshot || this.#rules?.draining !== this.#draining)
      this.#rules = undefined;
    this.#rules ??= { snapshot, floors: this.#options.floors, draining: this.#draining };
    return this.#rules;
  }

  #accept(client: TLSSocket): void {
    const { counters, clock, log, decide } = this.#options;
    counters.connectionsAccepted++;
    counters.connectionsOpen++;
    const deps: ConnectionDeps = {
      client,
      batch: this.#batch,
      dialer: this.#dialer,
      decide: (request, rules) => decide(request, rules),
      rules: () => this.#currentRules(),
      running: this.#running,
      clock,
      log,
      counters,
      // It may come back as another one.
      upstreamFailed: () => void (this.#options.http2 && this.#protocol.ask()),
      closed: () => {
        counters.connectionsOpen--;
        this.#connections.delete(connection);
        if (this.#connections.size > 0) return;
        for (const callback of this.#whenEmpty) callback();
        this.#whenEmpty.clear();
      },
    };
    const connection: ClientConnection =
      client.alpnProtocol === "h2" ? new Http2Connection(deps) : new Http1Connection(deps);
    this.#connections.add(connection);
    if (this.#draining) connection.closeIfIdle();
  }

  async drain(signal: AbortSignal): Promise<void> {
    this.#draining = true;
    for (const server of [this.#server, ...this.#further]) server.close();
    const cut = () => {
      for (const connection of this.#connections) connection.destroy();
    };
    signal.addEventListener("abort", cut, { once: true });
    const empty = this.#connectionsGone();
    if (signal.aborted) cut();
    for (const connection of this.#connections) connection.closeIfIdle();
    const finite = this.#running.all.filter((request) => !request.isWatch && !request.isUpgrade);
    await this.#running.whenOver(finite, signal).catch(() => undefined);
    for (const request of this.#running.all) {
      if (request.isWatch)
        this.#later(this.#options.random() * watchEndSpreadMs, () => request.endWatch(undefined));
    }
    await empty;
    signal.removeEventListener("abort", cut);
  }

  #later(ms: number, callback: () => void): void {
    const timer = this.#options.clock.timer(ms, () => {
      this.#timers.delete(timer);
      callback();
    });
    this.#timers.add(timer);
  }

  #connectionsGone(): Promise<void> {
    if (this.#connections.size === 0) return Promise.resolve();
    return new Promise((resolve) => void this.#whenEmpty.add(resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.drain(AbortSignal.abort());
    for (const socket of this.#sockets) socket.destroy();
    for (const timer of this.#timers) timer[Symbol.dispose]();
    this.#protocol[Symbol.dispose]();
    this.#running[Symbol.dispose]();
  }
}

function isAddressInfo(address: string | AddressInfo | null): address is AddressInfo {
  return address !== null && typeof address === "object";
}
