import type { CtrlmeshError } from "#api/errors";
import { type Clock, systemClock } from "#runtime/clock";
import { FramePeer, headersFrame } from "../apiserver/http2/raw-frames.ts";
import { FrameType, preface } from "../http2/constants.ts";
import { settingsAckFrame, settingsFrame } from "../http2/frame-writer.ts";
import { createIdentity, type RawIdentity, RawUpstream } from "../transport/raw-peers.ts";
import { frameOf as messageFrame } from "./grpc-frames.ts";
import { GrpcStream } from "./grpc-stream.ts";

/** A control stream to a server whose frames the test writes by hand: for tests. */

const identity: Promise<RawIdentity> = createIdentity();

interface Given {
  /** What the server takes by ALPN. */
  readonly protocols?: readonly string[];
  readonly clock?: Clock;
  readonly onMessage?: (message: Buffer) => void;
  readonly authorization?: string;
}

export class ScriptedServer implements AsyncDisposable {
  readonly stream: GrpcStream;
  readonly upstream: RawUpstream;
  /** Messages that came out of the stream. */
  readonly messages: Buffer[] = [];
  /** How the stream ended; undefined while it has not. */
  outcome: { readonly failure: CtrlmeshError | undefined } | undefined;

  private constructor(upstream: RawUpstream, caPem: string, given: Given) {
    this.upstream = upstream;
    this.stream = new GrpcStream({
      address: { host: "127.0.0.1", port: upstream.port },
      serverName: "localhost",
      trustedCertificates: Buffer.from(caPem),
      path: "/service/Call",
      authorization: given.authorization ?? "Bearer token",
      userAgent: "test",
      clock: given.clock ?? systemClock,
      onMessage: (message) => {
        this.messages.push(Buffer.from(message));
        given.onMessage?.(message);
      },
    });
    void this.stream.ended.then((failure) => {
      this.outcome = { failure };
    });
  }

  static async start(given: Given = {}): Promise<ScriptedServer> {
    const parts = await identity;
    const upstream = await RawUpstream.start(parts, given.protocols ?? ["h2"]);
    return new ScriptedServer(upstream, parts.caPem, given);
  }

  /** The connection, with nothing sent on it by the server. */
  async accept(): Promise<FramePeer> {
    return new FramePeer(await this.upstream.accept(), preface.length);
  }

  /** The connection with the request read, settings exchanged and the answer begun. */
  async answered(settings: readonly (readonly [number, number])[] = []): Promise<FramePeer> {
    const server = await this.accept();
    await server.next(FrameType.HEADERS, 1);
    await server.next(FrameType.SETTINGS);
    server.send(settingsFrame(settings), settingsAckFrame(), headersFrame(1, okHead));
    // Ours is acknowledged: what was sent with it is known.
    await server.next(FrameType.SETTINGS);
    return server;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stream[Symbol.asyncDispose]();
    await this.upstream[Symbol.asyncDispose]();
  }
}

export const okHead = { ":status": "200", "content-type": "application/grpc+proto" };

/** gRPC messages, each with its prefix. */
export function messagesOf(...contents: readonly (string | Uint8Array)[]): Buffer {
  return Buffer.concat(contents.map((content) => messageFrame(Buffer.from(content))));
}
