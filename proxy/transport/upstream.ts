import { isIP, type OnReadOpts } from "node:net";
import {
  type ConnectionOptions,
  checkServerIdentity,
  connect,
  createSecureContext,
  type SecureContext,
  type TLSSocket,
} from "node:tls";
import { CtrlmeshError } from "#api/errors";
import type { Clock } from "#runtime/clock";
import { cipherPreference, keepAliveInitialDelayMs } from "./ciphers.ts";

/** Bytes of the one buffer into which every upstream connection reads: its content is used up in the callback. */
const readBufferBytes = 64 * 1024;

export interface UpstreamAddress {
  readonly host: string;
  readonly port: number;
  /** Name that the certificate must carry; an IP address is looked for among the IP addresses. */
  readonly servername: string;
  /** PEM of the authorities that may have signed it. Read at each connection, so that a rotated CA counts at once. */
  ca(): string;
}

/** What is spoken on a connection, as ALPN names it (RFC 7301). */
export type Protocol = "h2" | "http/1.1";

export interface UpstreamDeps {
  readonly address: UpstreamAddress;
  readonly clock: Clock;
  readonly connectTimeoutMs: number;
}

export interface UpstreamListener {
  /** bytes[0, length) arrived; they are overwritten by the next read unless `nextReadBuffer` gave their place. */
  upstreamBytes(bytes: Buffer, length: number): void;
  /** Where the next read is to go; undefined: into a buffer of the dialer's. Asked after each read. */
  nextReadBuffer(): Buffer | undefined;
  upstreamConnected(): void;
  /** The API server ended its side; it may still read. */
  upstreamEnded(): void;
  /** No connection came about, so nothing was sent: UPSTREAM_UNREACHABLE. */
  upstreamFailed(error: CtrlmeshError): void;
  /** The connection is gone, after `upstreamConnected`. */
  upstreamClosed(): void;
}

/**
 * Opens TLS connections to the API server, certificate always checked. Sessions are resumed. Nothing is pooled: a
 * connection belongs to the client connection that it was opened for, and speaks what that one speaks.
 */
export class UpstreamDialer {
  readonly #deps: UpstreamDeps;
  readonly #readBuffer = Buffer.allocUnsafeSlow(readBufferBytes);
  #context: SecureContext | undefined;
  #contextCa = "";
  #session: Buffer | undefined;

  constructor(deps: UpstreamDeps) {
    this.#deps = deps;
  }

  /**
   * Starts to connect, for exactly this protocol. The socket may be written to at once; failures come through the
   * listener.
   */
  dial(listener: UpstreamListener, protocol: Protocol): TLSSocket {
    const onread: OnReadOpts = {
      buffer: () => listener.nextReadBuffer() ?? this.#readBuffer,
      // Node gives back the buffer itself, whose type it does not promise.
      callback: (length: number, buffer: Uint8Array) => {
        listener.upstreamBytes(buffer as Buffer, length);
        return true;
      },
    };
    const context = this.#currentContext();
    const socket = this.#connect({
      secureContext: context,
      ALPNProtocols: [protocol],
      onread,
      ...(this.#session === undefined ? {} : { session: this.#session }),
    });
    socket.setNoDelay(true);
    socket.setKeepAlive(true, keepAliveInitialDelayMs);
    socket.on("session", (session: Buffer) => {
      if (context === this.#context) this.#session = session;
    });
    this.#follow(socket, listener, protocol);
    return socket;
  }

  /**
   * Which protocol the API server takes when it may choose: one handshake, then the connection ends.
   *
   * @throws UPSTREAM_UNREACHABLE
   */
  probe(): Promise<Protocol> {
    return new Promise((resolve, reject) => {
      const socket = this.#connect({
        secureContext: this.#currentContext(),
        ALPNProtocols: ["h2", "http/1.1"],
      });
      this.#follow(
        socket,
        {
          upstreamBytes: () => undefined,
          nextReadBuffer: () => undefined,
          upstreamConnected: () => {
            resolve(socket.alpnProtocol === "h2" ? "h2" : "http/1.1");
            socket.destroy();
          },
          upstreamEnded: () => undefined,
          upstreamFailed: reject,
          upstreamClosed: () => undefined,
        },
        undefined,
      );
    });
  }

  #connect(
    // The published types lack onread for TLS; Node takes it as for TCP.
    more: ConnectionOptions & { readonly onread?: OnReadOpts },
  ): TLSSocket {
    const { host, port, servername } = this.#deps.address;
    const options: ConnectionOptions & { readonly allowHalfOpen: boolean } = {
      host,
      port,
      allowHalfOpen: true,
      checkServerIdentity: (_host, certificate) => checkServerIdentity(servername, certificate),
      ...(isIP(servername) === 0 ? { servername } : {}),
      ...more,
    };
    return connect(options);
  }

  #follow(socket: TLSSocket, listener: UpstreamListener, protocol: Protocol | undefined): void {
    const { clock, connectTimeoutMs, address } = this.#deps;
    const where = `${address.host}:${address.port}`;
    let isConnected = false;
    let failure: CtrlmeshError | undefined;
    const timeout = clock.timer(connectTimeoutMs, () => {
      failure = unreachable(`no TLS connection within ${connectTimeoutMs} ms`, where, undefined);
      socket.destroy();
    });
    socket.once("secureConnect", () => {
      timeout[Symbol.dispose]();
      // A server without ALPN speaks HTTP/1.1.
      if (protocol === "h2" && socket.alpnProtocol !== "h2") {
        failure = unreachable("it does not speak HTTP/2 any more", where, undefined);
        socket.destroy();
        return;
      }
      isConnected = true;
      listener.upstreamConnected();
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      failure ??= unreachable(error.code ?? error.message, where, error);
    });
    socket.once("end", () => {
      if (isConnected) listener.upstreamEnded();
      else socket.destroy();
    });
    socket.once("close", () => {
      timeout[Symbol.dispose]();
      if (isConnected) listener.upstreamClosed();
      else listener.upstreamFailed(failure ?? unreachable("closed before TLS stood", where, undefined));
    });
  }

  #currentContext(): SecureContext {
    const ca = this.#deps.address.ca();
    if (this.#context === undefined || ca !== this.#contextCa) {
      this.#context = createSecureContext({ ca, ciphers: cipherPreference, minVersion: "TLSv1.2" });
      this.#contextCa = ca;
      // A session was verified against the authorities of its time.
      this.#session = undefined;
    }
    return this.#context;
  }
}

function unreachable(what: string, where: string, cause: unknown): CtrlmeshError {
  return new CtrlmeshError("UPSTREAM_UNREACHABLE", {
    what: `the API server can't be reached: ${what}`,
    where,
    cause,
  });
}
