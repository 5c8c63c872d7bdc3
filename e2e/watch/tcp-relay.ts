import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

export interface TcpRelayOptions {
  /** Port on loopback for the next connection: a service address sends each one to some endpoint. */
  target(): number;
  /** After so many bytes towards the client a connection is cut; undefined: never. */
  cutAfterBytes?(): number | undefined;
}

/**
 * Passes bytes on, and cuts connections at any byte when told to. By `destroy`, which resets a connection that has
 * unread bytes: Node's `resetAndDestroy` leaves the handle open for ever when it comes during a shutdown (libuv refuses
 * the reset then), and the process does not end.
 */
export class TcpRelay implements AsyncDisposable {
  readonly #options: TcpRelayOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(options: TcpRelayOptions) {
    this.#options = options;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#relay(client));
  }

  static async listen(options: TcpRelayOptions): Promise<TcpRelay> {
    const relay = new TcpRelay(options);
    relay.#server.listen(0, "127.0.0.1");
    await once(relay.#server, "listening");
    return relay;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  /** Breaks all connections. */
  cutAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #relay(client: Socket): void {
    const server = connect({
      port: this.#options.target(),
      host: "127.0.0.1",
      allowHalfOpen: true,
      noDelay: true,
    });
    let rest = this.#options.cutAfterBytes?.() ?? Number.POSITIVE_INFINITY;
    server.on("data", (bytes) => {
      const passed = bytes.subarray(0, rest);
      rest -= passed.length;
      if (!client.write(passed)) server.pause();
      if (rest > 0) return;
      client.end();
      server.destroy();
    });
    client.on("drain", () => server.resume());
    server.on("end", () => client.end());
    client.pipe(server);
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.on("error", () => other.destroy());
      socket.on("close", () => {
        this.#sockets.delete(socket);
        other.destroySoon();
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.cutAll();
    await once(this.#server, "close");
  }
}
