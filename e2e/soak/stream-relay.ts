import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

/** Stands between the proxy and its manager, so that the way between them can be cut and be away. */
export class StreamRelay implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isAway = false;

  private constructor(targetPort: number) {
    this.#server = createServer((client) => {
      if (this.#isAway) {
        client.destroy();
        return;
      }
      const manager = connect(targetPort, "127.0.0.1");
      for (const [from, to] of [
        [client, manager],
        [manager, client],
      ] as const) {
        this.#sockets.add(from);
        from.on("error", () => to.destroy());
        from.on("close", () => {
          this.#sockets.delete(from);
          to.destroy();
        });
        from.pipe(to);
      }
    }).listen(0, "127.0.0.1");
  }

  static async listen(targetPort: number): Promise<StreamRelay> {
    const relay = new StreamRelay(targetPort);
    await once(relay.#server, "listening");
    return relay;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  /** Cuts what is connected. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Refuses connections until `isAway` is false again. */
  set isAway(isAway: boolean) {
    this.#isAway = isAway;
    if (isAway) this.cut();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.cut();
    await once(this.#server, "close");
  }
}
