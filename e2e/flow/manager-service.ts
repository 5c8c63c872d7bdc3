import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import type { ManagerProcess } from "./manager-process.ts";

/**
 * The Service of the managers: forwards each new connection to a replica that is ready. Like a real one it looks
 * only at the time of the connect; what is open stays with its replica, dead or alive.
 */
export class ManagerService implements AsyncDisposable {
  readonly managers: ManagerProcess[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor() {
    this.#server = createServer((client) => void this.#forward(client));
  }

  static async listen(): Promise<ManagerService> {
    const service = new ManagerService();
    service.#server.listen(0, "127.0.0.1");
    await once(service.#server, "listening");
    return service;
  }

  /** HOST:PORT for proxies; no 127.0.0.1, which means a pod's own loopback in a pod. */
  get address(): string {
    const address = this.#server.address();
    return `localhost:${typeof address === "object" && address !== null ? address.port : 0}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    const closed = once(this.#server, "close");
    this.#server.close();
    await closed;
  }

  async #forward(client: Socket): Promise<void> {
    this.#keep(client);
    const ready = await Promise.all(this.managers.map((manager) => manager.isReady()));
    const manager = this.managers.find((_, index) => ready[index] === true);
    if (manager === undefined || client.destroyed) {
      client.destroy();
      return;
    }
    const replica = connect(manager.controlPort, "127.0.0.1");
    this.#keep(replica);
    client.pipe(replica).pipe(client);
    client.once("close", () => replica.destroy());
    replica.once("close", () => client.destroy());
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    // Its close follows, and ends the other half.
    socket.on("error", () => {});
    socket.once("close", () => this.#sockets.delete(socket));
  }
}
