import { connect as connectTls } from "node:tls";
import { CtrlmeshError, toCtrlmeshError } from "#api/errors";
import type { Clock } from "#runtime/clock";
import { type HostAndPort, printAddress } from "#runtime/setting-types";
import { HeaderField } from "../http2/hpack-field.ts";
import { FrameReader, frameOf } from "./grpc-frames.ts";
import { failureOf } from "./grpc-status.ts";
import { Http2Stream } from "./http2-stream.ts";
import type { Fields } from "./response-frames.ts";

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
  readonly #stream: Http2Stream;
  readonly #options: GrpcStreamOptions;
  readonly #reader = new FrameReader();
  #failure: CtrlmeshError | undefined;
  #trailers: Fields = new Map();
  #timer: Disposable;
  #isOver = false;

  /** @throws what Node says of trusted certificates that are none */
  constructor(options: GrpcStreamOptions) {
    this.#options = options;
    const { address, serverName, trustedCertificates, clock } = options;
    const socket = connectTls({
      host: address.host,
      port: address.port,
      // The server name is no address.
      servername: serverName,
      ca: trustedCertificates,
      minVersion: "TLSv1.3",
      ALPNProtocols: ["h2"],
    });
    const { promise, resolve } = Promise.withResolvers<CtrlmeshError | undefined>();
    this.ended = promise;
    this.#timer = clock.timer(connectTimeoutMs, () =>
      this.#fail(`no connection within ${connectTimeoutMs} ms`),
    );
    this.#stream = new Http2Stream({
      socket,
      fields: requestFields(options),
      clock,
      listener: {
        opened: () => this.#keepAlive(),
        head: (fields) => this.#checkHead(fields),
        content: (bytes) => this.#take(bytes),
        trailers: (fields) => {
          this.#trailers = fields;
        },
        ended: () => this.#endInOrder(),
        pingAnswered: () => this.#keepAlive(),
        failed: (error) => this.#end(this.#failed(error)),
        closed: () => resolve(this.#failure),
      },
    });
  }

  /** Queues one message. Ignored once the stream is over: whoever sends learns it from `ended`. */
  send(message: Uint8Array): void {
    this.#stream.send(frameOf(message));
    if (this.#stream.unsentBytes > unsentLimitBytes) this.#fail("the server does not read");
  }

  /** Ends the stream from this side. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#end(undefined);
    await this.ended;
  }

  #checkHead(fields: Fields): void {
    const status = fields.get(":status");
    const type = fields.get("content-type") ?? "";
    if (fields.has("grpc-status")) this.#trailers = fields;
    else if (status !== "200") this.#fail(`HTTP status ${status} instead of a gRPC answer`);
    else if (!/^application\/grpc(?:\+proto)?(?:;|$)/.test(type))
      this.#fail(`content type ${type} is no gRPC`);
  }

  #take(bytes: Buffer): void {
    try {
      for (const message of this.#reader.push(bytes)) {
        if (this.#isOver) return;
        this.#options.onMessage(message);
      }
    } catch (error) {
      this.#end(toCtrlmeshError(error, "PROTOCOL_VIOLATION"));
    }
  }

  #endInOrder(): void {
    if (this.#reader.isInsideMessage) this.#fail("the stream ended inside a message");
    else this.#end(failureOf(this.#trailers));
  }

  #keepAlive(): void {
    const { clock } = this.#options;
    this.#timer[Symbol.dispose]();
    this.#timer = clock.timer(pingIntervalMs, () => {
      this.#timer = clock.timer(pingTimeoutMs, () =>
        this.#fail(`no answer to a PING within ${pingTimeoutMs} ms`),
      );
      this.#stream.ping();
    });
  }

  #fail(what: string): void {
    this.#end(
      new CtrlmeshError("CONTROL_STREAM_FAILED", { what, where: printAddress(this.#options.address) }),
    );
  }

  #failed(cause: Error & { readonly code?: unknown }): CtrlmeshError {
    const where = printAddress(this.#options.address);
    // Several refused addresses of one name are an error without a message.
    const what = cause.message || String(cause.code);
    return new CtrlmeshError("CONTROL_STREAM_FAILED", { what, where, cause });
  }

  /** The first reason counts: what follows is only its echo from the lower layers. */
  #end(failure: CtrlmeshError | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#failure = failure;
    this.#timer[Symbol.dispose]();
    this.#stream.close();
  }
}

function requestFields({ address, path, authorization, userAgent }: GrpcStreamOptions): HeaderField[] {
  return [
    new HeaderField(":method", "POST"),
    new HeaderField(":authority", printAddress(address)),
    new HeaderField(":scheme", "https"),
    new HeaderField(":path", path),
    new HeaderField("content-type", "application/grpc+proto"),
    new HeaderField("te", "trailers"),
    new HeaderField("grpc-accept-encoding", "identity"),
    new HeaderField("user-agent", userAgent),
    new HeaderField("authorization", authorization, true),
  ];
}
