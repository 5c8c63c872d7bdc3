import "reflect-metadata";
import { createSecureServer, type Http2SecureServer, type ServerHttp2Session } from "node:http2";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import {
  ControlService,
  type ManagerMessage,
  ManagerMessageSchema,
  type ProxyMessage,
} from "#api/gen/ctrlmesh/v1/control_pb";
import { type Authority, createAuthority, issueCertificate } from "#runtime/x509";

type Messages = {
  [K in NonNullable<ProxyMessage["message"]["case"]>]: Extract<ProxyMessage["message"], { case: K }>["value"];
};

/** The name that a proxy of the namespace "ctrlmesh" expects. */
export const fakeManagerName = "ctrlmesh-manager.ctrlmesh.svc";

/**
 * A control service for tests on the real server library and real TLS. Does nothing by itself: the test takes each
 * stream and says what the manager says.
 */
export class FakeManager implements AsyncDisposable {
  readonly authority: Authority;
  readonly port: number;
  readonly #server: Http2SecureServer;
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #streams: Mailbox<FakeStream>;

  private constructor(authority: Authority, server: Http2SecureServer, streams: Mailbox<FakeStream>) {
    this.authority = authority;
    this.#server = server;
    this.#streams = streams;
    const address = server.address();
    this.port = address !== null && typeof address === "object" ? address.port : 0;
    server.on("session", (session) => {
      this.#sessions.add(session);
      session.once("close", () => this.#sessions.delete(session));
    });
  }

  static async listen(
    given: { readonly authority?: Authority; readonly dnsName?: string; readonly port?: number } = {},
  ): Promise<FakeManager> {
    const authority = given.authority ?? (await createAuthority({ commonName: "mesh", days: 10 }));
    const { certificatePem, privateKeyPem } = await issueCertificate(authority, {
      commonName: "manager",
      dnsNames: [given.dnsName ?? fakeManagerName],
      ipAddresses: [],
      days: 5,
      usage: "server",
    });
    const streams = new Mailbox<FakeStream>("a control stream");
    const adapter = connectNodeAdapter({
      routes: (router) => {
        router.service(ControlService, {
          connect: (requests, context) => {
            const stream = new FakeStream(context.requestHeader.get("authorization") ?? "", context.signal);
            streams.put(stream);
            void stream.receiveFrom(requests);
            return stream.answers();
          },
        });
      },
    });
    const server = createSecureServer({ cert: certificatePem, key: privateKeyPem ?? "" }, adapter);
    await new Promise<void>((resolve) => server.listen(given.port ?? 0, "127.0.0.1", resolve));
    return new FakeManager(authority, server, streams);
  }

  get address() {
    return { host: "127.0.0.1", port: this.port };
  }

  /** The next stream that a proxy opens. */
  nextStream(): Promise<FakeStream> {
    return this.#streams.take();
  }

  get streamsWaiting(): number {
    return this.#streams.length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const session of this.#sessions) session.destroy();
    await closed;
  }
}

/** One stream, from the manager's side. */
export class FakeStream {
  readonly authorization: string;
  /** Aborts when the proxy is gone. */
  readonly signal: AbortSignal;
  readonly #received = new Map<string, Mailbox<unknown>>();
  readonly #toSend = new Mailbox<ManagerMessage | "end" | ConnectError>("something to say", false);

  constructor(authorization: string, signal: AbortSignal) {
    this.authorization = authorization;
    this.signal = signal;
  }

  /** The next message of a kind; others are kept. */
  async next<K extends keyof Messages>(kind: K): Promise<Messages[K]> {
    // The mailbox of a kind holds messages of that kind alone.
    return (await this.#mailbox(kind).take()) as Messages[K];
  }

  count(kind: keyof Messages): number {
    return this.#mailbox(kind).length;
  }

  send(message: MessageInitShape<typeof ManagerMessageSchema>["message"] & object): void {
    this.#toSend.put(create(ManagerMessageSchema, { message }));
  }

  /** Sends a message as it is, unknown fields included. */
  sendMessage(message: ManagerMessage): void {
    this.#toSend.put(message);
  }

  end(): void {
    this.#toSend.put("end");
  }

  fail(error: ConnectError): void {
    this.#toSend.put(error);
  }

  async receiveFrom(requests: AsyncIterable<ProxyMessage>): Promise<void> {
    try {
      for await (const { message } of requests) {
        if (message.case !== undefined) this.#mailbox(message.case).put(message.value);
      }
    } catch {
      // The proxy went away: seen by `signal`.
    }
  }

  async *answers(): AsyncGenerator<ManagerMessage> {
    for (;;) {
      const next = await Promise.race([this.#toSend.take(), aborted(this.signal)]);
      if (next === "end") return;
      if (next instanceof Error) throw next;
      yield next;
    }
  }

  #mailbox(kind: string): Mailbox<unknown> {
    let mailbox = this.#received.get(kind);
    if (mailbox === undefined) {
      mailbox = new Mailbox(`a message "${kind}"`);
      this.#received.set(kind, mailbox);
    }
    return mailbox;
  }
}

function aborted(signal: AbortSignal): Promise<"end"> {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve("end"), { once: true }));
}

/** Values in order; whoever takes waits with a deadline that says what was missing. */
class Mailbox<T> {
  readonly #what: string;
  readonly #hasDeadline: boolean;
  readonly #values: T[] = [];
  readonly #takers: ((value: T) => void)[] = [];

  constructor(what: string, hasDeadline = true) {
    this.#what = what;
    this.#hasDeadline = hasDeadline;
  }

  get length(): number {
    return this.#values.length;
  }

  put(value: T): void {
    const taker = this.#takers.shift();
    if (taker === undefined) this.#values.push(value);
    else taker(value);
  }

  take(): Promise<T> {
    const value = this.#values.shift();
    if (value !== undefined) return Promise.resolve(value);
    return new Promise((resolve, reject) => {
      const taker = (taken: T) => {
        clearTimeout(deadline);
        resolve(taken);
      };
      const deadline = this.#hasDeadline
        ? setTimeout(() => {
            this.#takers.splice(this.#takers.indexOf(taker), 1);
            reject(new Error(`${this.#what} was expected within 5 s and did not come`));
          }, 5000)
        : undefined;
      this.#takers.push(taker);
    });
  }
}
