import { once } from "node:events";
import { createSecureServer, type Http2SecureServer, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { CtrlmeshError } from "#api/errors";
import {
  type ManagerMessage,
  ManagerMessageSchema,
  ProxyMessageSchema,
  type SnapshotResult,
} from "#api/gen/ctrlmesh/v1/control_pb";
import { type Authority, issueCertificate } from "#runtime/x509";

const prefixBytes = 5;

/**
 * A control stream by hand (gRPC over HTTP/2), so that messages which no manager of ours would send can be sent. It
 * serves one proxy.
 */
export class ScriptedManager implements AsyncDisposable {
  readonly port: number;
  readonly #server: Http2SecureServer;
  readonly #stream: Promise<ServerHttp2Stream>;
  readonly #results: SnapshotResult[] = [];
  #arrived = Promise.withResolvers<void>();
  #received = Buffer.alloc(0);

  private constructor(server: Http2SecureServer, port: number) {
    this.#server = server;
    this.port = port;
    const { promise, resolve } = Promise.withResolvers<ServerHttp2Stream>();
    this.#stream = promise;
    server.once("stream", (stream: ServerHttp2Stream) => {
      stream.respond({ ":status": 200, "content-type": "application/grpc+proto" });
      stream.on("data", (chunk: Buffer) => this.#receive(chunk));
      stream.on("error", () => undefined);
      resolve(stream);
    });
  }

  static async listen(authority: Authority): Promise<ScriptedManager> {
    const { certificatePem, privateKeyPem } = await issueCertificate(authority, {
      commonName: "manager",
      dnsNames: ["ctrlmesh-manager.ctrlmesh.svc"],
      ipAddresses: [],
      days: 5,
      usage: "server",
    });
    const server = createSecureServer({ cert: certificatePem, key: privateKeyPem ?? "" });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address: AddressInfo | string | null = server.address();
    return new ScriptedManager(server, typeof address === "object" ? (address?.port ?? 0) : 0);
  }

  /** Sends one message and waits for what the proxy answers to the next snapshot. */
  async answerTo(message: ManagerMessage["message"], extra = new Uint8Array()): Promise<SnapshotResult> {
    const stream = await this.#stream;
    const bytes = toBinary(ManagerMessageSchema, create(ManagerMessageSchema, { message }));
    const frame = Buffer.concat([Buffer.alloc(prefixBytes), bytes, extra]);
    frame.writeUInt32BE(frame.length - prefixBytes, 1);
    stream.write(frame);
    const deadline = AbortSignal.timeout(10_000);
    while (this.#results.length === 0) {
      await Promise.race([this.#arrived.promise, once(deadline, "abort")]);
      if (deadline.aborted) throw new CtrlmeshError("TIMEOUT", { what: "the proxy did not answer" });
    }
    const [result] = this.#results.splice(0, 1);
    if (result === undefined) throw new CtrlmeshError("INTERNAL", { what: "no answer" });
    return result;
  }

  #receive(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk]);
    while (this.#received.length >= prefixBytes) {
      const end = prefixBytes + this.#received.readUInt32BE(1);
      if (this.#received.length < end) return;
      const { message } = fromBinary(ProxyMessageSchema, this.#received.subarray(prefixBytes, end));
      this.#received = this.#received.subarray(end);
      if (message.case !== "snapshotResult") continue;
      this.#results.push(message.value);
      this.#arrived.resolve();
      this.#arrived = Promise.withResolvers();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    (await Promise.race([this.#stream, Promise.resolve(undefined)]))?.session?.destroy();
    await closed;
  }
}
