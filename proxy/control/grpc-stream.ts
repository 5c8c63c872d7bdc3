import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
} from "node:http2";
import { connect as connectTls } from "node:tls";
import { CtrlmeshError, toCtrlmeshError } from "#api/errors";
import type { Clock } from "#runtime/clock";
import { type HostAndPort, printAddress } from "#runtime/setting-types";
import { FrameReader, frameOf } from "./grpc-frames.ts";
import { failureOf } from "./grpc-status.ts";

interface GrpcStreamOptions {
  readonly address: HostAndPort;
  /** The name that the server's certificate must carry, whatever the address is. */
  readonly serverName: string;
  /** PEM; the only authorities that count. */
  readonly trustedCertificates: Buffer;
  /** ":path", such as "/ctrlmesh.v1.ControlService/Connect". */
  readonly path: string;
  /** Value of the header "authorization". */
  readonly authorization: string;
  readonly userAgent: string;
  readonly clock: Clock;
  readonly onMessage: (message: Buffer) => void;
}

/** Time for TCP, TLS and the server's SETTINGS, in milliseconds. */
export const connectTimeoutMs = 10_000;
/** A PING goes out at this interval; without its answer in time the peer counts as dead. */
export const pingIntervalMs = 10_000;
export const pingTimeoutMs = 5_000;
/** What the server has not read yet; beyond it the server has stopped reading and the stream is ended. */
const unsentLimitBytes = 1024 * 1024;

/**
 * One bidirectional gRPC call on its own HTTP/2 connection: as much of gRPC as the control stream needs, without a
 * gRPC library in the sidecar. Ends by itself on any error of the connection and on a peer that stops answering.
 */
export class GrpcStream implements AsyncDisposable {
  /** Resolves with the reason when the stream is over; undefined when the server ended it in order. Never rejects. */
  readonly ended: Promise<CtrlmeshError | undefined>;
  readonly #session: ClientHttp2Session;
  readonly #options: GrpcStreamOptions;
  readonly #reader = new FrameReader();
  #stream: ClientHttp2Stream | undefined;
  #failure: CtrlmeshError | undefined;
  #trailers: IncomingHttpHeaders | undefined;
  #finish: () => void = () => {};
  #timer: Disposable;
  #isOver = false;

  constructor(options: GrpcStreamOptions) {
    this.#options = options;
    const { address, serverName, trustedCertificates, clock } = options;
    this.#session = connect(`https://${printAddress(address)}`, {
      // The server name is no address, hence a TLS connection of our own: `connect` would derive it from the URL.
      createConnection: () =>
        connectTls({
          host: address.host,
          port: address.port,
          servername: serverName,
          ca: trustedCertificates,
          minVersion: "TLSv1.3",
          ALPNProtocols: ["h2"],
        }),
    });
    this.ended = new Promise((resolve) => {
      this.#finish = () => resolve(this.#failure);
    });
    this.#timer = clock.timer(connectTimeoutMs, () =>
      this.#fail(`no connection within ${connectTimeoutMs} ms`),
    );
    this.#session.once("remoteSettings", () => this.#keepAlive());
    this.#session.on("error", (error) => this.#end(this.#failed(error)));
    this.#session.on("goaway", (code) => {
      if (code !== constants.NGHTTP2_NO_ERROR) this.#fail(`the server sent GOAWAY with code ${code}`);
    });
    this.#session.once("close", () => this.#close());
    this.#open();
  }

  /** Queues one message. Ignored once the stream is over: whoever sends learns it from `ended`. */
  send(message: Uint8Array): void {
    const stream = this.#stream;
    if (stream === undefined || stream.destroyed || !stream.writable) return;
    stream.write(frameOf(message));
    if (stream.writableLength > unsentLimitBytes) this.#fail("the server does not read");
  }

  /** Ends the stream from this side. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#end(undefined);
    await this.ended;
  }

  #open(): void {
    const { path, authorization, userAgent } = this.#options;
    const stream = this.#session.request(
      {
        ":method": "POST",
        ":path": path,
        "content-type": "application/grpc+proto",
        te: "trailers",
        "grpc-accept-encoding": "identity",
        "user-agent": userAgent,
        authorization,
      },
      { endStream: false },
    );
    this.#stream = stream;
    stream.on("response", (headers) => this.#checkResponse(headers));
    stream.on("trailers", (trailers) => {
      this.#trailers = trailers;
    });
    stream.on("data", (chunk: Buffer) => this.#take(chunk));
    stream.on("end", () => this.#endInOrder());
    stream.on("error", (error) => this.#end(this.#failed(error)));
    stream.on("close", () => this.#endInOrder());
  }

  #checkResponse(headers: IncomingHttpHeaders & IncomingHttpStatusHeader): void {
    const status = headers[":status"];
    const type = headers["content-type"] ?? "";
    if (headers["grpc-status"] !== undefined) this.#trailers = headers;
    else if (status !== 200) this.#fail(`HTTP status ${status} instead of a gRPC answer`);
    else if (!/^application\/grpc(?:\+proto)?(?:;|$)/.test(type))
      this.#fail(`content type ${type} is no gRPC`);
  }

  #take(chunk: Buffer): void {
    try {
      for (const message of this.#reader.push(chunk)) {
        if (this.#session.destroyed) return;
        this.#options.onMessage(message);
      }
    } catch (error) {
      this.#end(toCtrlmeshError(error, "PROTOCOL_VIOLATION"));
    }
  }

  #endInOrder(): void {
    if (this.#reader.isInsideMessage) this.#fail("the stream ended inside a message");
    else this.#end(failureOf(this.#trailers ?? {}));
  }

  #keepAlive(): void {
    const { clock } = this.#options;
    this.#timer[Symbol.dispose]();
    this.#timer = clock.timer(pingIntervalMs, () => {
      this.#timer = clock.timer(pingTimeoutMs, () =>
        this.#fail(`no answer to a PING within ${pingTimeoutMs} ms`),
      );
      if (this.#session.destroyed) return;
      this.#session.ping((error) => {
        if (error === null) this.#keepAlive();
      });
    });
  }

  #fail(what: string): void {
    this.#end(
      new CtrlmeshError("CONTROL_STREAM_FAILED", { what, where: printAddress(this.#options.address) }),
    );
  }

  #failed(cause: Error): CtrlmeshError {
    if (cause instanceof CtrlmeshError) return cause;
    const where = printAddress(this.#options.address);
    return new CtrlmeshError("CONTROL_STREAM_FAILED", { what: cause.message, where, cause });
  }

  /** The first reason counts: what follows is only its echo from the lower layers. */
  #end(failure: CtrlmeshError | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#failure = failure;
    this.#timer[Symbol.dispose]();
    // CANCEL tells a server that still runs that nobody listens any more; a dead connection ignores it.
    this.#stream?.close(constants.NGHTTP2_CANCEL);
    this.#session.destroy();
  }

  #close(): void {
    this.#end(this.#failed(new Error("the connection was closed")));
    this.#finish();
  }
}
