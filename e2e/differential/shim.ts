import { once } from "node:events";
import { connect as connectTls, createServer, type Server, type TLSSocket } from "node:tls";
import { createAuthority, issueCertificate } from "#runtime/x509";
import type { Endpoint } from "./client.ts";

/** Changes the bytes of one answer, head and body, taken as Latin-1. */
export type Mutation = (answer: string) => string;

/** A TLS proxy that passes bytes, but for what the test has it change: a stand-in for a proxy with a fault. */
export class Shim implements AsyncDisposable {
  /** Applied to the whole answer of a connection. */
  mutation: Mutation = (answer) => answer;
  readonly #server: Server;
  readonly #sockets = new Set<TLSSocket>();
  readonly #ca: string;
  readonly #token: string;

  private constructor(server: Server, upstream: Endpoint, ca: string) {
    this.#server = server;
    this.#ca = ca;
    this.#token = upstream.token;
    server.on("secureConnection", (client) => this.#carry(client, upstream));
  }

  static async listen(upstream: Endpoint): Promise<Shim> {
    const authority = await createAuthority({ commonName: "shim", days: 1 });
    const { certificatePem, privateKeyPem } = await issueCertificate(authority, {
      commonName: "shim",
      dnsNames: [],
      ipAddresses: ["127.0.0.1"],
      days: 1,
      usage: "server",
    });
    const server = createServer({
      cert: certificatePem,
      key: privateKeyPem ?? "",
      ALPNProtocols: ["http/1.1"],
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new Shim(server, upstream, authority.certificatePem);
  }

  get endpoint(): Endpoint {
    const address = this.#server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    return { port, ca: this.#ca, token: this.#token };
  }

  /** One request a connection: the answer ends with the upstream connection. */
  #carry(client: TLSSocket, { port, ca }: Endpoint): void {
    const upstream = connectTls({ host: "127.0.0.1", port, ca, ALPNProtocols: ["http/1.1"] });
    const answer: Buffer[] = [];
    for (const socket of [client, upstream]) {
      this.#sockets.add(socket);
      socket.on("error", () => socket.destroy());
      socket.once("close", () => this.#sockets.delete(socket));
    }
    client.on("data", (bytes) => upstream.write(bytes));
    upstream.on("data", (bytes) => answer.push(bytes));
    upstream.on("end", () => {
      client.end(Buffer.from(this.mutation(Buffer.concat(answer).toString("latin1")), "latin1"));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }
}
