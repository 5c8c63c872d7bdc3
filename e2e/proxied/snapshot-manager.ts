import "reflect-metadata";
import { once } from "node:events";
import { createSecureServer, type Http2SecureServer, type ServerHttp2Session } from "node:http2";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import {
  ControlService,
  Grant,
  HashFunction,
  type ManagerMessage,
  ManagerMessageSchema,
  type ProxyMessage,
  type SnapshotSchema,
} from "#api/gen/ctrlmesh/v1/control_pb";
import { type Authority, createAuthority, issueCertificate } from "#runtime/x509";
import { eventually } from "./proxied-operator.ts";

/** What a snapshot says beside its numbers. */
export type Rules = Omit<
  Exclude<MessageInitShape<typeof SnapshotSchema>, { $typeName: string }>,
  "$typeName" | "id" | "epoch"
>;

/** A manager that certifies each proxy and sends to each stream the snapshot that the test has set. */
export class SnapshotManager implements AsyncDisposable {
  readonly authority: Authority;
  readonly #server: Http2SecureServer;
  #snapshot: MessageInitShape<typeof SnapshotSchema> = {};
  #revision = 0n;
  #acked = 0n;
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #streams = new Set<(message: ManagerMessage) => void>();

  private constructor(authority: Authority, certificate: { cert: string; key: string }) {
    this.authority = authority;
    const adapter = connectNodeAdapter({
      routes: (router) => {
        router.service(ControlService, {
          connect: (messages, { signal }) => this.#serve(messages, signal),
        });
      },
    });
    this.#server = createSecureServer(certificate, adapter).listen(0, "127.0.0.1");
    this.#server.on("session", (session) => {
      this.#sessions.add(session);
      session.once("close", () => this.#sessions.delete(session));
    });
  }

  static async listen(): Promise<SnapshotManager> {
    const authority = await createAuthority({ commonName: "mesh", days: 1 });
    const { certificatePem, privateKeyPem } = await issueCertificate(authority, {
      commonName: "manager",
      dnsNames: ["ctrlmesh-manager.ctrlmesh.svc"],
      ipAddresses: [],
      days: 1,
      usage: "server",
    });
    const manager = new SnapshotManager(authority, { cert: certificatePem, key: privateKeyPem ?? "" });
    await once(manager.#server, "listening");
    return manager;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  /** The shard has the objects of these teams (label "team"); resolves when the proxy has said so. */
  async grantTeams(teams: readonly string[], fenced: readonly string[] = []): Promise<void> {
    await this.show({
      grant: Grant.GRANTED,
      limits: [{ groups: ["*"], resources: ["*"], selector: `team in (${teams.join(",")})` }],
      unfilteredResources: [{ group: "", resource: "namespaces" }],
      unfilteredNamespaces: ["op"],
      fence: { namespaces: [...fenced] },
    });
  }

  /** Sends a snapshot under the next revision, which is its epoch too; resolves when the proxy has acked it. */
  async show(snapshot: Rules): Promise<void> {
    this.#revision++;
    this.#snapshot = {
      id: { term: 1n, revision: this.#revision },
      shard: "shard-a",
      hash: HashFunction.MURMUR3,
      epoch: this.#revision,
      ...snapshot,
    };
    for (const send of this.#streams) send(this.#current());
    await this.acked();
  }

  async acked(): Promise<void> {
    await eventually(
      () => this.#acked === this.#revision,
      () => `no ack of revision ${this.#revision}`,
    );
  }

  #current(): ManagerMessage {
    return create(ManagerMessageSchema, { message: { case: "snapshot", value: this.#snapshot } });
  }

  async *#serve(messages: AsyncIterable<ProxyMessage>, signal: AbortSignal): AsyncGenerator<ManagerMessage> {
    const queue: ManagerMessage[] = this.#revision > 0n ? [this.#current()] : [];
    let wake = Promise.withResolvers<void>();
    const send = (message: ManagerMessage) => {
      queue.push(message);
      wake.resolve();
    };
    this.#streams.add(send);
    signal.addEventListener("abort", () => wake.resolve());
    void this.#receive(messages, send).catch(() => undefined);
    while (!signal.aborted) {
      yield* queue.splice(0);
      await wake.promise;
      wake = Promise.withResolvers();
    }
    this.#streams.delete(send);
  }

  async #receive(
    messages: AsyncIterable<ProxyMessage>,
    send: (message: ManagerMessage) => void,
  ): Promise<void> {
    for await (const { message } of messages) {
      if (message.case === "snapshotResult" && message.value.accepted) {
        this.#acked = message.value.id?.revision ?? 0n;
      } else if (message.case === "certificateRequest") {
        const { certificatePem } = await issueCertificate(this.authority, {
          commonName: "proxy",
          dnsNames: ["kubernetes.default.svc"],
          ipAddresses: ["127.0.0.1"],
          days: 1,
          usage: "server",
          publicKeySpki: message.value.publicKeySpki,
        });
        const value = { certificateChainPem: certificatePem };
        send(create(ManagerMessageSchema, { message: { case: "certificate", value } }));
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    for (const session of this.#sessions) session.destroy();
    await once(this.#server, "close");
  }
}
