import { once } from "node:events";
import {
  connect as connectTcp,
  createServer as createTcpServer,
  type Socket,
  type Server as TcpServer,
} from "node:net";
import { connect, createServer, type Server, type TLSSocket } from "node:tls";
import { createAuthority, issueCertificate } from "#runtime/x509";

/** Raw TLS ends for tests: what they send and get is bytes, and every wait has a deadline that says what was missing. */

const deadlineMs = 5_000;

/** Waits, turn by turn of the event loop, until `isTrue` holds. */
export async function eventually(isTrue: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  while (!isTrue()) {
    if (performance.now() > deadline) throw new Error(`${what}: not within ${deadlineMs} ms`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

export interface RawIdentity {
  readonly caPem: string;
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

/** A certificate for 127.0.0.1 and localhost under an authority of its own. */
export async function createIdentity(): Promise<RawIdentity> {
  const authority = await createAuthority({ commonName: "test authority", days: 1 });
  const issued = await issueCertificate(authority, {
    commonName: "test server",
    dnsNames: ["localhost"],
    ipAddresses: ["127.0.0.1"],
    days: 1,
    usage: "server",
  });
  return {
    caPem: authority.certificatePem,
    certificatePem: issued.certificatePem,
    privateKeyPem: issued.privateKeyPem ?? "",
  };
}

/** One end of a connection. */
export class RawPeer {
  readonly socket: TLSSocket;
  #chunks: Buffer[] = [];
  #taken = 0;
  hasEnded = false;
  isClosed = false;
  readonly #watchers = new Set<() => void>();

  constructor(socket: TLSSocket) {
    this.socket = socket;
    socket.on("data", (bytes: Buffer) => {
      this.#chunks.push(bytes);
      this.#changed();
    });
    socket.on("end", () => {
      this.hasEnded = true;
      this.#changed();
    });
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.isClosed = true;
      this.#changed();
    });
  }

  #changed(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }

  /** Everything received so far, Latin-1. */
  get received(): string {
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0]?.toString("latin1") ?? "";
  }

  get receivedBytes(): number {
    return this.#chunks.reduce((total, chunk) => total + chunk.length, 0);
  }

  send(bytes: string | Buffer): void {
    this.socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
  }

  /** Waits until `isTrue` holds; it is asked at each byte, end and close. */
  async until(isTrue: () => boolean, what: string): Promise<void> {
    if (isTrue()) return;
    await new Promise<void>((resolve, reject) => {
      const deadline = setTimeout(() => {
        this.#watchers.delete(watcher);
        reject(
          new Error(
            `${what}: not within ${deadlineMs} ms; ended ${this.hasEnded}, closed ${this.isClosed}, got ${JSON.stringify(this.received.slice(-2000))}`,
          ),
        );
      }, deadlineMs);
      const watcher = () => {
        if (!isTrue()) return;
        clearTimeout(deadline);
        this.#watchers.delete(watcher);
        resolve();
      };
      this.#watchers.add(watcher);
    });
  }

  /** Waits for `text` behind all that was taken before; returns what came up to and with it. */
  async take(text: string): Promise<string> {
    await this.until(() => this.received.indexOf(text, this.#taken) >= 0, `bytes ${JSON.stringify(text)}`);
    const end = this.received.indexOf(text, this.#taken) + text.length;
    const taken = this.received.slice(this.#taken, end);
    this.#taken = end;
    return taken;
  }

  /** A head, up to and with its blank line. */
  takeHead(): Promise<string> {
    return this.take("\r\n\r\n");
  }

  /** Exactly so many bytes. */
  async takeBytes(count: number): Promise<string> {
    await this.until(() => this.receivedBytes >= this.#taken + count, `${count} more bytes`);
    const taken = this.received.slice(this.#taken, this.#taken + count);
    this.#taken += count;
    return taken;
  }

  /** What came and was not taken. */
  get rest(): string {
    return this.received.slice(this.#taken);
  }

  /** Waits for a clean end of the other side. */
  ended(): Promise<void> {
    return this.until(() => this.hasEnded || this.isClosed, "end of the other side");
  }

  closed(): Promise<void> {
    return this.until(() => this.isClosed, "close");
  }
}

/** A TLS server whose connections the test scripts. */
export class RawUpstream implements AsyncDisposable {
  readonly peers: RawPeer[] = [];
  readonly #server: Server;
  /** Also those whose handshake is not over. */
  readonly #sockets = new Set<Socket>();
  readonly #waiting: (() => void)[] = [];
  #taken = 0;

  private constructor(server: Server) {
    this.#server = server;
    server.on("tlsClientError", () => undefined);
    server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
    server.on("secureConnection", (socket) => {
      this.peers.push(new RawPeer(socket));
      for (const wake of this.#waiting.splice(0)) wake();
    });
  }

  /** @param protocols what it takes by ALPN, best first */
  static async start(
    identity: RawIdentity,
    protocols: readonly string[] = ["http/1.1"],
  ): Promise<RawUpstream> {
    const server = createServer({
      key: identity.privateKeyPem,
      cert: identity.certificatePem,
      ALPNProtocols: [...protocols],
      allowHalfOpen: true,
      noDelay: true,
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new RawUpstream(server);
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  get openSockets(): number {
    return this.#sockets.size;
  }

  /** Cuts all connections with a TCP reset. */
  reset(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** The next connection that nobody took yet. */
  async accept(): Promise<RawPeer> {
    const index = this.#taken++;
    for (;;) {
      const peer = this.peers[index];
      if (peer !== undefined) return peer;
      await new Promise<void>((resolve, reject) => {
        const deadline = setTimeout(
          () => reject(new Error("no connection reached the upstream")),
          deadlineMs,
        );
        this.#waiting.push(() => {
          clearTimeout(deadline);
          resolve();
        });
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

/** Opens a client connection to 127.0.0.1, half-open allowed. */
export async function dialRaw(
  port: number,
  caPem: string,
  maxVersion: "TLSv1.2" | "TLSv1.3" = "TLSv1.3",
): Promise<RawPeer> {
  const options = {
    host: "127.0.0.1",
    port,
    ca: caPem,
    maxVersion,
    ALPNProtocols: ["http/1.1"],
    allowHalfOpen: true,
  };
  const socket = connect(options);
  const peer = new RawPeer(socket);
  await once(socket, "secureConnect");
  socket.setNoDelay(true);
  return peer;
}

/** TLS record type "alert", which an ended TLS 1.2 connection sends last. */
const alertRecord = 21;

/** A wire to `port` that looks at the TLS records coming back. One connection. */
export class RawWire implements AsyncDisposable {
  readonly #server: TcpServer;
  readonly #sockets: Socket[] = [];
  #bytes = Buffer.alloc(0);

  private constructor(server: TcpServer) {
    this.#server = server;
  }

  static async start(port: number): Promise<RawWire> {
    const server = createTcpServer({ allowHalfOpen: true });
    const wire = new RawWire(server);
    server.on("connection", (near) => {
      const far = connectTcp({ port, host: "127.0.0.1", allowHalfOpen: true });
      wire.#sockets.push(near, far);
      for (const socket of [near, far]) socket.on("error", () => undefined);
      far.on("data", (bytes: Buffer) => {
        wire.#bytes = Buffer.concat([wire.#bytes, bytes]);
      });
      near.pipe(far).pipe(near);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return wire;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  /** Whether the last record that came back is an alert. TLS 1.2 only: later versions hide the type. */
  get hasCloseNotify(): boolean {
    let type = 0;
    for (let at = 0; at + 5 <= this.#bytes.length; at += 5 + this.#bytes.readUInt16BE(at + 3)) {
      type = this.#bytes[at] ?? 0;
    }
    return type === alertRecord;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}
