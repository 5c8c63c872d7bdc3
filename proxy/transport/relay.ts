import type { TLSSocket } from "node:tls";
import { type CtrlmeshError, toCtrlmeshError } from "#api/errors";
import { Outlet } from "./outlet.ts";
import { ReadGate } from "./read-gate.ts";
import type { Protocol, UpstreamDialer, UpstreamListener } from "./upstream.ts";
import type { WriteBatch } from "./write-batch.ts";

export interface RelayDeps {
  readonly client: TLSSocket;
  readonly batch: WriteBatch;
  readonly dialer: UpstreamDialer;
  /** What the client speaks, and so what the API server has to. */
  readonly protocol: Protocol;
}

/** Decides what happens to the bytes; the relay only moves them. */
export interface RelayListener {
  clientBytes(bytes: Buffer): void;
  /** bytes[0, length); overwritten after the call. */
  upstreamBytes(bytes: Buffer, length: number): void;
  /** The client will send no more; it may still read. */
  clientEnded(): void;
  /** The API server will send no more. */
  upstreamEnded(): void;
  /** No upstream connection came about, so nothing was sent: UPSTREAM_UNREACHABLE. */
  upstreamFailed(error: CtrlmeshError): void;
  /** The upstream connection is gone while the client's still stands. */
  upstreamClosed(): void;
  /** One of the calls above threw. */
  failed(error: CtrlmeshError): void;
  /** The client's connection is gone, and the upstream one with it. Called once. */
  closed(): void;
}

/**
 * Two sockets for life: one upstream connection per client connection, opened at the first byte that goes
 * upstream. Backpressure and aborts pass from either side to the other.
 */
export class Relay implements UpstreamListener {
  readonly toClient: Outlet;
  readonly clientGate: ReadGate;
  readonly upstreamGate: ReadGate;
  readonly #deps: RelayDeps;
  readonly #listener: RelayListener;
  #upstream: TLSSocket | undefined;
  #toUpstream: Outlet | undefined;
  #lastReadBytes = 0;

  constructor(deps: RelayDeps, listener: RelayListener) {
    this.#deps = deps;
    this.#listener = listener;
    const { client, batch } = deps;
    this.clientGate = new ReadGate(client);
    this.upstreamGate = new ReadGate({
      pause: () => this.#upstream?.pause(),
      resume: () => this.#upstream?.resume(),
    });
    this.toClient = new Outlet(client, batch, this.upstreamGate, true);
    client.on("data", (bytes: Buffer) => this.#guard(() => listener.clientBytes(bytes)));
    client.once("end", () => this.#guard(() => listener.clientEnded()));
    client.on("error", () => client.destroy());
    client.once("close", () => {
      this.#upstream?.destroy();
      listener.closed();
    });
  }

  /** The way to the API server; connects when there is none yet. */
  get toUpstream(): Outlet {
    if (this.#toUpstream !== undefined) return this.#toUpstream;
    this.#upstream = this.#deps.dialer.dial(this, this.#deps.protocol);
    this.#toUpstream = new Outlet(this.#upstream, this.#deps.batch, this.clientGate, false);
    return this.#toUpstream;
  }

  /** Passes the client's half-close on. */
  endUpstream(): void {
    this.#toUpstream?.flush();
    this.#upstream?.end();
  }

  /** Sends what is gathered, then ends the client's side cleanly (TLS close_notify, FIN). */
  endClient(): void {
    this.toClient.flush();
    this.#deps.client.end();
  }

  /** Cuts the upstream connection; the client's stays. */
  destroyUpstream(): void {
    this.#upstream?.destroy();
  }

  /** Cuts both connections at once; what is not sent yet is lost. The client sees an error, not an end. */
  destroy(): void {
    this.#upstream?.destroy();
    this.#deps.client.destroy();
  }

  /** Cuts both connections, the client's after the bytes that it still has coming. */
  abortClient(): void {
    this.#upstream?.destroy();
    this.toClient.flush();
    const { client } = this.#deps;
    // An empty write keeps the order of the queue: its callback comes when all before it has gone out.
    if (client.writable) client.write("", () => client.destroy());
    else client.destroy();
  }

  upstreamConnected(): void {
    this.#toUpstream?.connected();
  }

  upstreamBytes(bytes: Buffer, length: number): void {
    this.toClient.beginRead(bytes);
    this.#guard(() => this.#listener.upstreamBytes(bytes, length));
    this.toClient.endRead();
    this.#lastReadBytes = length;
  }

  nextReadBuffer(): Buffer | undefined {
    return this.toClient.landing(this.#lastReadBytes);
  }

  upstreamEnded(): void {
    this.#guard(() => this.#listener.upstreamEnded());
  }

  upstreamFailed(error: CtrlmeshError): void {
    if (!this.#deps.client.destroyed) this.#guard(() => this.#listener.upstreamFailed(error));
  }

  upstreamClosed(): void {
    this.toClient.leaveLanding();
    if (!this.#deps.client.destroyed) this.#guard(() => this.#listener.upstreamClosed());
  }

  #guard(call: () => void): void {
    try {
      call();
    } catch (thrown) {
      this.#listener.failed(toCtrlmeshError(thrown));
    }
  }
}
