import { once } from "node:events";
import { createSecureServer, type Http2SecureServer, type ServerHttp2Session } from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import { createConnectRouter } from "@connectrpc/connect";
import { CtrlmeshError, type ErrorCode } from "#api/errors";
import { ControlService } from "#api/gen/ctrlmesh/v1/control_pb";
import { grpcListener } from "./grpc-listener.ts";
import { keepAlive } from "./keep-alive.ts";
import { type ServeStreamDeps, serveStream } from "./serve-stream.ts";

export interface ControlServerDeps extends Omit<ServeStreamDeps, "refusals"> {
  /** The serving certificate of now. */
  readonly certificate: () => { readonly certificatePem: string; readonly privateKeyPem: string };
}

export interface ControlServer extends AsyncDisposable {
  /** Resolves when connections are accepted. @throws PORT_IN_USE */
  listen(host: string, port: number): Promise<AddressInfo>;
  /** Reads the certificate again; open connections keep the one that they began with. Throws for one that is none. */
  reloadCertificate(): void;
  /** Streams that ended with an error, by its code, since the start. */
  readonly refusals: ReadonlyMap<ErrorCode, number>;
}

/** A hello, a report or a key is far smaller; nothing else may come in. */
const readMaxBytes = 256 * 1024;
const handshakeTimeoutMs = 10_000;
/** Time in which the ends of streams go out when the server ends; a proxy that does not read gets none. */
const closeLimitMs = 1_000;
/** A proxy opens one; a second one is for a client that comes again on the same connection. */
const maxConcurrentStreams = 2;

/** The control streams over gRPC on TLS. Nothing is told to a stream before its token has been accepted. */
export function createControlServer(deps: ControlServerDeps): ControlServer {
  const refusals = new Map<ErrorCode, number>();
  const sockets = new Set<Socket>();
  const sessions = new Set<ServerHttp2Session>();
  const closing = new AbortController();
  const server = createSecureServer(
    {
      ...tlsOf(deps),
      allowHTTP1: false,
      handshakeTimeout: handshakeTimeoutMs,
      settings: { maxConcurrentStreams },
    },
    callListener({ ...deps, refusals }, closing.signal),
  );
  // The bare sockets, so that those still in their handshake are ended too.
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  server.on("session", (session) => {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
    keepAlive(session, deps.clock);
    session.on("error", (error) => deps.log.debug("a control connection failed", { error }));
  });
  server.on("error", (error) => deps.log.error("the control server failed", { error }));
  return {
    refusals,
    listen: (host, port) => listen(server, host, port),
    reloadCertificate: () => server.setSecureContext(tlsOf(deps)),
    [Symbol.asyncDispose]: async () => {
      closing.abort();
      deps.proxies.closeAll();
      if (!server.listening) return;
      const closed = once(server, "close");
      server.close();
      for (const session of sessions) session.close();
      using _limit = deps.clock.timer(closeLimitMs, () => {
        for (const socket of sockets) socket.destroy();
      });
      await closed;
    },
  };
}

function callListener(deps: ServeStreamDeps, shutdownSignal: AbortSignal) {
  const router = createConnectRouter({
    connect: false,
    grpcWeb: false,
    acceptCompression: [],
    readMaxBytes,
    shutdownSignal,
  }).service(ControlService, {
    connect: (requests, context) => serveStream(requests, context, deps),
  });
  const [call] = router.handlers;
  if (call === undefined) throw new CtrlmeshError("INTERNAL", { what: "the control service has no call" });
  return grpcListener(call, deps);
}

function tlsOf({ certificate }: ControlServerDeps) {
  const { certificatePem, privateKeyPem } = certificate();
  return { cert: certificatePem, key: privateKeyPem, minVersion: "TLSv1.3" as const };
}

async function listen(server: Http2SecureServer, host: string, port: number): Promise<AddressInfo> {
  try {
    server.listen(port, host);
    await once(server, "listening");
  } catch (cause) {
    throw new CtrlmeshError("PORT_IN_USE", {
      what: "the control stream can't be served",
      where: `${host}:${port}`,
      hint: "choose another port with --grpc-leader-election-port",
      cause,
    });
  }
  const address = server.address();
  if (address !== null && typeof address === "object") return address;
  throw new CtrlmeshError("INTERNAL", { what: "the control server has no address" });
}
