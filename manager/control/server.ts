import { once } from "node:events";
import { createSecureServer, type Http2SecureServer, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { CtrlmeshError, type ErrorCode, toCtrlmeshError } from "#api/errors";
import {
  ControlService,
  type ManagerMessage,
  ManagerMessageSchema,
  type ProxyMessage,
  RedirectSchema,
} from "#api/gen/ctrlmesh/v1/control_pb";
import type { KubeClient } from "#kube/client/client";
import type { Log } from "#runtime/log";
import { authenticate, bearerToken, type PodIdentity } from "./authenticate.ts";
import { Outbox } from "./outbox.ts";
import { awaitHello, receive, type StreamDeps } from "./stream.ts";

export interface ControlServerDeps extends StreamDeps {
  readonly client: KubeClient;
  readonly log: Log;
  /** The serving certificate of now. */
  readonly certificate: () => { readonly certificatePem: string; readonly privateKeyPem: string };
  /** Whether this replica leads; only the leader serves streams. */
  readonly leads: () => boolean;
  /** host:port of the leader's control server; undefined while none is known. */
  readonly leaderAddress: () => string | undefined;
}

export interface ControlServer extends AsyncDisposable {
  /** Resolves when connections are accepted. @throws PORT_IN_USE */
  listen(host: string, port: number): Promise<AddressInfo>;
  /** Reads the certificate again; open connections keep the one that they began with. */
  reloadCertificate(): void;
}

/** A hello, a report or a key is far smaller; nothing else may come in. */
const readMaxBytes = 256 * 1024;
/** Trailer with the code of ours, finer than gRPC's. */
const codeTrailer = "ctrlmesh-code";
const pingIntervalMs = 10_000;

const grpcCodes: Partial<Record<ErrorCode, Code>> = {
  UNAUTHENTICATED: Code.Unauthenticated,
  POD_NOT_BOUND: Code.PermissionDenied,
  POD_NOT_INJECTED: Code.PermissionDenied,
  POD_NOT_FOUND: Code.NotFound,
  PROTOCOL_VIOLATION: Code.InvalidArgument,
  INVALID_KEY_FILE: Code.InvalidArgument,
  TIMEOUT: Code.DeadlineExceeded,
  NOT_LEADER: Code.Unavailable,
};

/** The control streams over gRPC on TLS. Nothing is told to a stream before its token has been accepted. */
export function createControlServer(deps: ControlServerDeps): ControlServer {
  const sessions = new Set<ServerHttp2Session>();
  const closing = new AbortController();
  const handler = connectNodeAdapter({
    readMaxBytes,
    shutdownSignal: closing.signal,
    routes: (router) => {
      router.service(ControlService, {
        connect: (requests, context) => serve(requests, context, deps),
      });
    },
  });
  const server = createSecureServer({ ...tlsOf(deps), allowHTTP1: false }, handler);
  server.on("session", (session) => {
    sessions.add(session);
    const pinging = keepAlive(session);
    session.on("close", () => {
      sessions.delete(session);
      clearInterval(pinging);
    });
    session.on("error", (error) => deps.log.debug("a control connection failed", { reason: error.message }));
  });
  return {
    listen: (host, port) => listen(server, host, port),
    reloadCertificate: () => server.setSecureContext(tlsOf(deps)),
    [Symbol.asyncDispose]: async () => {
      closing.abort();
      deps.proxies.closeAll();
      const closed = server.listening ? once(server, "close") : Promise.resolve();
      server.close();
      for (const session of sessions) session.destroy();
      await closed;
    },
  };
}

/** One stream: who is it, is this the leader, then both directions until one side ends. */
async function* serve(
  requests: AsyncIterable<ProxyMessage>,
  context: HandlerContext,
  deps: ControlServerDeps,
): AsyncGenerator<ManagerMessage> {
  let pod: PodIdentity | undefined;
  try {
    pod = await authenticate(
      bearerToken(context.requestHeader.get("authorization")),
      deps.client,
      context.signal,
    );
    if (!deps.leads()) {
      yield redirect(deps.leaderAddress());
      return;
    }
    const messages = requests[Symbol.asyncIterator]();
    const hello = await awaitHello(messages, deps.clock, context.signal);
    const outbox = new Outbox();
    const stop = (): void => outbox.close();
    context.signal.addEventListener("abort", stop, { once: true });
    void receive({ pod, outbox, messages }, deps).then(
      () => outbox.close(),
      (thrown: unknown) => outbox.close(toCtrlmeshError(thrown)),
    );
    deps.proxies.opened(pod, hello, outbox);
    deps.log.info("proxy connected", { ...nameOf(pod), version: hello.proxyVersion });
    try {
      yield* outbox.drain();
    } finally {
      context.signal.removeEventListener("abort", stop);
      outbox.close();
      deps.proxies.closed(pod, outbox);
      deps.log.info("proxy disconnected", nameOf(pod));
    }
  } catch (thrown) {
    if (context.signal.aborted) return;
    throw refusal(toCtrlmeshError(thrown, "CONTROL_STREAM_FAILED"), pod, deps.log);
  }
}

function redirect(leaderAddress: string | undefined): ManagerMessage {
  const value = create(RedirectSchema, { leaderAddress: leaderAddress ?? "" });
  return create(ManagerMessageSchema, { message: { case: "redirect", value } });
}

function refusal(error: CtrlmeshError, pod: PodIdentity | undefined, log: Log): ConnectError {
  const fields = pod === undefined ? {} : nameOf(pod);
  log.warn("control stream refused", { ...fields, code: error.code, reason: error.message });
  const code = grpcCodes[error.code] ?? Code.Unavailable;
  return new ConnectError(error.message, code, { [codeTrailer]: error.code });
}

function nameOf({ name, namespace, shard }: PodIdentity): Record<string, string> {
  return { pod: name, namespace, shard };
}

/** Finds proxies that are gone without a word: a PING that is not answered ends the session. */
function keepAlive(session: ServerHttp2Session): NodeJS.Timeout {
  let unanswered = 0;
  const timer = setInterval(() => {
    if (unanswered >= 2) return session.destroy();
    unanswered++;
    session.ping(() => {
      unanswered = 0;
    });
  }, pingIntervalMs);
  return timer.unref();
}

function tlsOf({ certificate }: ControlServerDeps) {
  const { certificatePem, privateKeyPem } = certificate();
  return { cert: certificatePem, key: privateKeyPem, minVersion: "TLSv1.2" as const };
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
