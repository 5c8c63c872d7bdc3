import assert from "node:assert/strict";
import { type ClientHttp2Session, type ClientHttp2Stream, connect as connectHttp2 } from "node:http2";
import { connect as connectTcp, createServer, type Socket } from "node:net";
import { after, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { CtrlmeshError, type ErrorCode } from "#api/errors";
import {
  ControlService,
  type ManagerMessage,
  ProxyMessageSchema,
  SnapshotSchema,
} from "#api/gen/ctrlmesh/v1/control_pb";
import { eventually } from "#kube/client/eventually";
import { FakeClock } from "#runtime/fake-clock";
import { createLog } from "#runtime/log";
import { createAuthority, issueCertificate } from "#runtime/x509";
import { Proxies } from "./proxies.ts";
import { ScriptedIdentities } from "./scripted-identities.ts";
import { type ControlServerDeps, createControlServer } from "./server.ts";

const serverName = "ctrlmesh-manager.ctrlmesh.svc";
const authority = await createAuthority({ commonName: "mesh", days: 10 });

type ProxyWord = MessageInitShape<typeof ProxyMessageSchema>["message"] & object;

type ManagerWords = {
  [K in NonNullable<ManagerMessage["message"]["case"]>]: Extract<
    ManagerMessage["message"],
    { case: K }
  >["value"];
};

const unhandled: unknown[] = [];
process.on("unhandledRejection", (reason) => unhandled.push(reason));
after(() => assert.deepEqual(unhandled, []));

async function serving(commonName = "manager") {
  const { certificatePem, privateKeyPem = "" } = await issueCertificate(authority, {
    commonName,
    dnsNames: [serverName],
    ipAddresses: [],
    days: 5,
    usage: "server",
  });
  return { certificatePem, privateKeyPem };
}

/** A control server on a real port, with a scripted API server behind it and a clock that stands still. */
async function startServer(given: Partial<ControlServerDeps> = {}) {
  const clock = new FakeClock();
  const cluster = new ScriptedIdentities();
  for (const name of ["op-0", "op-1"]) cluster.admit(name);
  const proxies = new Proxies(clock);
  const lines: string[] = [];
  const write = (line: string): void => void lines.push(line);
  const state = { leads: true, leaderAddress: undefined as string | undefined, certificate: await serving() };
  const server = createControlServer({
    proxies,
    clock,
    log: createLog({ level: "debug", format: "json", part: "manager", clock, write }),
    client: cluster,
    certificate: () => state.certificate,
    leads: () => state.leads,
    leaderAddress: () => state.leaderAddress,
    issueProxyCertificate: async () => ({ certificateChainPem: "chain", notAfter: new Date(5_000_999) }),
    ...given,
  });
  const { port } = await server.listen("127.0.0.1", 0);
  return {
    server,
    clock,
    cluster,
    proxies,
    lines,
    state,
    port,
    offer: (name: string, contentKey: string) =>
      proxies.offer(`uid-${name}`, create(SnapshotSchema, { shard: "a", grantReason: contentKey }), {
        term: 1n,
        contentKey,
      }),
    [Symbol.asyncDispose]: async () => {
      const ended = server[Symbol.asyncDispose]();
      await clock.advance(1_000);
      await ended;
    },
  };
}

/** A proxy on the gRPC library's own client. */
class TestProxy implements AsyncDisposable {
  readonly #spoken: ProxyWord[] = [];
  #wake: () => void = () => {};
  #ended = false;
  readonly #abort = new AbortController();
  readonly #answers: AsyncIterator<ManagerMessage>;
  /** Trailers of the stream, once it has ended. */
  trailers = new Headers();

  constructor(port: number, authorization: string | undefined) {
    const transport = createGrpcTransport({
      baseUrl: `https://127.0.0.1:${port}`,
      nodeOptions: { ca: authority.certificatePem, servername: serverName },
    });
    const headers = authorization === undefined ? {} : { authorization };
    const answers = createClient(ControlService, transport).connect(this.#words(), {
      headers,
      signal: this.#abort.signal,
      onTrailer: (trailers) => {
        this.trailers = trailers;
      },
    });
    this.#answers = answers[Symbol.asyncIterator]();
  }

  static of(name: string, port: number): TestProxy {
    const proxy = new TestProxy(port, `Bearer token-${name}`);
    proxy.say({ case: "hello", value: { proxyVersion: "1.2.3" } });
    return proxy;
  }

  say(word: ProxyWord): void {
    this.#spoken.push(word);
    this.#wake();
  }

  ack(id: { readonly term: bigint; readonly revision: bigint } | undefined): void {
    assert.ok(id !== undefined);
    const { term, revision } = id;
    this.say({ case: "snapshotResult", value: { id: { term, revision }, accepted: true } });
  }

  /** Ends its side, as a proxy never does. */
  endSide(): void {
    this.#ended = true;
    this.#wake();
  }

  /** The next message of a kind, which must come next. */
  async next<K extends keyof ManagerWords>(kind: K): Promise<ManagerWords[K]> {
    const { value, done } = await within(this.#answers.next(), `a message "${kind}"`);
    assert.equal(done === true ? "the end" : value.message.case, kind);
    // Just compared, which the type can't follow.
    return value?.message.value as ManagerWords[K];
  }

  /** The error that ends the stream next; undefined for an end in order. */
  async end(): Promise<ConnectError | undefined> {
    try {
      const next = await within(this.#answers.next(), "the end of the stream");
      assert.equal(next.done, true, `a message ${next.value?.message.case} in place of the end`);
      return undefined;
    } catch (error) {
      assert.ok(error instanceof ConnectError, String(error));
      return error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    this.endSide();
    await this.#answers.next().catch(() => undefined);
  }

  async *#words() {
    for (;;) {
      const word = this.#spoken.shift();
      if (word !== undefined) yield { message: word };
      else if (this.#ended) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

async function within<T>(work: Promise<T>, what: string): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const deadline = setTimeout(() => reject(new Error(`${what} was expected within 5 s`)), 5000);
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(deadline);
  }
}

async function assertRefused(proxy: TestProxy, code: Code, own: ErrorCode, text: RegExp): Promise<void> {
  const error = await proxy.end();
  assert.ok(error !== undefined, "the stream ended in order");
  assert.equal(Code[error.code], Code[code]);
  assert.match(error.rawMessage, text);
  assert.equal(error.metadata.get("ctrlmesh-code"), own);
}

test("control server: a proxy gets its snapshot, and its ack is known", async () => {
  await using manager = await startServer();
  await using proxy = TestProxy.of("op-0", manager.port);
  await eventually(() => manager.proxies.size === 1, "the proxy's hello");
  assert.equal(manager.proxies.get("uid-op-0")?.version, "1.2.3");
  assert.ok(manager.offer("op-0", "x"));
  const { id, grantReason } = await proxy.next("snapshot");
  assert.equal(grantReason, "x");
  proxy.ack(id);
  await eventually(
    () => manager.proxies.get("uid-op-0")?.acknowledged?.contentKey === "x",
    "the acknowledged snapshot",
  );
  assert.deepEqual(manager.server.refusals, new Map());
});

test("control server: a nack is known with code and reason, and the stream goes on", async () => {
  await using manager = await startServer();
  await using proxy = TestProxy.of("op-0", manager.port);
  await eventually(() => manager.offer("op-0", "x"), "the proxy's hello");
  const { id } = await proxy.next("snapshot");
  assert.ok(id !== undefined);
  const result = { id: { term: id.term, revision: id.revision }, code: "SNAPSHOT_INVALID", reason: "no" };
  proxy.say({ case: "snapshotResult", value: { ...result, accepted: false } });
  await eventually(() => manager.proxies.get("uid-op-0")?.refused !== undefined, "the refusal");
  assert.deepEqual(manager.proxies.get("uid-op-0")?.refused, { code: "SNAPSHOT_INVALID", reason: "no" });
  assert.ok(manager.offer("op-0", "y"));
  await proxy.next("snapshot");
});

const strangers: readonly (readonly [string, string | undefined, Code, ErrorCode, RegExp])[] = [
  ["no token", undefined, Code.Unauthenticated, "UNAUTHENTICATED", /no bearer token/],
  ["a token nobody knows", "Bearer other", Code.Unauthenticated, "UNAUTHENTICATED", /does not accept/],
  ["a token of a Secret", "Bearer unbound", Code.PermissionDenied, "POD_NOT_BOUND", /not bound to a pod/],
  ["a token of a pod that is gone", "Bearer token-gone", Code.NotFound, "POD_NOT_FOUND", /the pod is gone/],
  [
    "a token of another pod's UID",
    "Bearer token-swapped",
    Code.NotFound,
    "POD_NOT_FOUND",
    /another has its name/,
  ],
  [
    "a token of a pod that was not injected",
    "Bearer token-bare",
    Code.PermissionDenied,
    "POD_NOT_INJECTED",
    /not injected/,
  ],
];

for (const [what, authorization, code, own, text] of strangers) {
  test(`D1: a stream with ${what} is refused before any word, whatever waits for its pod`, async () => {
    await using manager = await startServer();
    const { cluster } = manager;
    for (const name of ["gone", "swapped", "bare"]) cluster.admit(name);
    cluster.deletePod("gone");
    cluster.putPod("swapped", { metadata: { uid: "uid-other" } });
    cluster.putPod("bare", { metadata: { labels: {} } });
    cluster.reviews.set("unbound", {
      authenticated: true,
      audiences: ["ctrlmesh"],
      user: { username: "system:serviceaccount:ops:operator" },
    });
    manager.state.leaderAddress = "10.0.0.9:8071";
    await using proxy = new TestProxy(manager.port, authorization);
    proxy.say({ case: "hello", value: { proxyVersion: "1.2.3" } });
    await assertRefused(proxy, code, own, text);
    assert.equal(manager.proxies.size, 0);
    assert.deepEqual(manager.server.refusals, new Map([[own, 1]]));
    assert.ok(!manager.lines.join("").includes(authorization ?? "Bearer"), "a token is in the log");
  });
}

test("D1: a stranger is not told where the leader is", async () => {
  await using manager = await startServer();
  manager.state.leads = false;
  manager.state.leaderAddress = "10.0.0.9:8071";
  await using proxy = new TestProxy(manager.port, "Bearer other");
  proxy.say({ case: "hello", value: {} });
  await assertRefused(proxy, Code.Unauthenticated, "UNAUTHENTICATED", /does not accept/);
});

test("D1: without TLS there is no stream", async () => {
  await using manager = await startServer();
  const session = connectHttp2(`http://127.0.0.1:${manager.port}`);
  session.on("error", () => {});
  const stream = session.request({ ":method": "POST", ":path": "/ctrlmesh.v1.ControlService/Connect" });
  stream.on("error", () => {});
  await within(new Promise((resolve) => session.once("close", resolve)), "the end of the connection");
  assert.deepEqual(manager.cluster.reviewed, []);
});

test("D1: nothing older than TLS 1.3 is spoken", async () => {
  await using manager = await startServer();
  const socket = connectTls({
    host: "127.0.0.1",
    port: manager.port,
    servername: serverName,
    ca: authority.certificatePem,
    maxVersion: "TLSv1.2",
  });
  const error = await within(new Promise((resolve) => socket.once("error", resolve)), "a failed handshake");
  assert.match(String(error), /protocol version/);
});

test("D14: one pod that is away, silent or slow keeps no rules from the others, and is forgotten when it goes", async () => {
  await using manager = await startServer();
  await using silent = new TestProxy(manager.port, "Bearer token-op-1");
  await using proxy = TestProxy.of("op-0", manager.port);
  await eventually(() => manager.cluster.reviewed.length === 2, "both reviews");
  await eventually(() => manager.offer("op-0", "x"), "the hello of op-0");
  assert.equal(manager.offer("op-1", "x"), false);
  await proxy.next("snapshot");
  silent.say({ case: "hello", value: {} });
  await eventually(() => manager.offer("op-1", "x"), "the hello of op-1");
  // op-1 never answers; the next rules reach op-0 all the same.
  assert.ok(manager.offer("op-0", "y"));
  assert.equal((await proxy.next("snapshot")).grantReason, "y");
  await silent[Symbol.asyncDispose]();
  await eventually(() => manager.proxies.size === 1, "the end of op-1");
});

test("control server: while the API server can't be asked, a proxy is told to come again and nothing of why", async () => {
  await using manager = await startServer();
  manager.cluster.before = () => {
    throw new CtrlmeshError("API_UNREACHABLE", { what: "no answer", where: "10.96.0.1:443" });
  };
  await using proxy = TestProxy.of("op-0", manager.port);
  await assertRefused(
    proxy,
    Code.Unavailable,
    "API_UNREACHABLE",
    /^the manager can't check who this is now$/,
  );
  assert.match(manager.lines.join(""), /10\.96\.0\.1:443/);
});

test("control server: a review that hangs ends with the stream's time, and its call is ended", async () => {
  await using manager = await startServer();
  const seen = Promise.withResolvers<AbortSignal>();
  manager.cluster.before = (_call, signal) => {
    seen.resolve(signal);
    return new Promise(() => {});
  };
  await using proxy = TestProxy.of("op-0", manager.port);
  const signal = await within(seen.promise, "the review");
  await manager.clock.advance(10_000);
  await assertRefused(proxy, Code.DeadlineExceeded, "TIMEOUT", /within 10 s/);
  assert.ok(signal.aborted);
});

test("control server: a proxy that leaves while it is checked leaves nothing behind", async () => {
  await using manager = await startServer();
  const seen = Promise.withResolvers<AbortSignal>();
  const reviewed = Promise.withResolvers<void>();
  manager.cluster.before = (_call, signal) => {
    seen.resolve(signal);
    return reviewed.promise;
  };
  const proxy = TestProxy.of("op-0", manager.port);
  const signal = await within(seen.promise, "the review");
  await proxy[Symbol.asyncDispose]();
  await eventually(() => signal.aborted, "the abort of the review");
  reviewed.resolve();
  // The keep-alive goes with the connection, the limit of the hello with the stream.
  await manager.clock.advance(10_000);
  await eventually(() => manager.clock.waiting === 0, "no timer");
  assert.equal(manager.proxies.size, 0);
  assert.deepEqual(manager.server.refusals, new Map());
});

test("control server: a replica that does not lead says who does, and ends the stream", async () => {
  await using manager = await startServer();
  manager.state.leads = false;
  manager.state.leaderAddress = "10.0.0.9:8071";
  await using proxy = TestProxy.of("op-0", manager.port);
  assert.equal((await proxy.next("redirect")).leaderAddress, "10.0.0.9:8071");
  assert.equal(await proxy.end(), undefined);
  manager.state.leaderAddress = undefined;
  await using next = TestProxy.of("op-0", manager.port);
  assert.equal((await next.next("redirect")).leaderAddress, "");
  assert.equal(manager.proxies.size, 0);
});

test("control server: when leadership ends streams end in order, and proxies come back to a redirect", async () => {
  await using manager = await startServer();
  await using proxy = TestProxy.of("op-0", manager.port);
  await eventually(() => manager.proxies.size === 1, "the proxy's hello");
  manager.state.leads = false;
  manager.proxies.closeAll();
  assert.equal(await proxy.end(), undefined);
  await using back = TestProxy.of("op-0", manager.port);
  await back.next("redirect");
});

test("control server: a stream whose hello comes after the end of leadership is redirected", async () => {
  await using manager = await startServer();
  await using proxy = new TestProxy(manager.port, "Bearer token-op-0");
  await eventually(() => manager.cluster.reviewed.length === 1, "the review");
  // The pod has been read too once the loop has turned; the stream now waits for its hello.
  await manager.clock.advance(1);
  manager.state.leads = false;
  manager.proxies.closeAll();
  proxy.say({ case: "hello", value: {} });
  await proxy.next("redirect");
  assert.equal(manager.proxies.size, 0);
});

test("control server: a stream without hello ends after 10 s", async () => {
  await using manager = await startServer();
  await using proxy = new TestProxy(manager.port, "Bearer token-op-0");
  await eventually(() => manager.cluster.reviewed.length === 1, "the review");
  await manager.clock.advance(9_999);
  proxy.trailers = new Headers();
  await manager.clock.advance(1);
  await assertRefused(proxy, Code.DeadlineExceeded, "TIMEOUT", /no token and hello within 10 s/);
});

const wrongStarts: readonly (readonly [string, readonly ProxyWord[], RegExp])[] = [
  ["a report in place of a hello", [{ case: "report", value: {} }], /the first message is report/],
  [
    "a term that no manager can exceed",
    [{ case: "hello", value: { highestTerm: 2n ** 53n } }],
    /term 9007199254740992 is none/,
  ],
];

const wrongWords: readonly (readonly [string, readonly ProxyWord[], RegExp])[] = [
  ...wrongStarts,
  [
    "a second hello",
    [
      { case: "hello", value: {} },
      { case: "hello", value: {} },
    ],
    /a second hello/,
  ],
  [
    "an answer without id",
    [
      { case: "hello", value: {} },
      { case: "snapshotResult", value: { accepted: true } },
    ],
    /an answer without an id/,
  ],
  [
    "a message of more than 256 KiB",
    [
      { case: "hello", value: {} },
      { case: "certificateRequest", value: { publicKeySpki: new Uint8Array(256 * 1024) } },
    ],
    /larger than the configured limit|exceed|readMaxBytes/i,
  ],
  [
    "two requests for a certificate at once",
    [
      { case: "hello", value: {} },
      { case: "certificateRequest", value: {} },
      { case: "certificateRequest", value: {} },
    ],
    /asked for too often/,
  ],
];

for (const [what, words, text] of wrongWords) {
  test(`control server: ${what} ends the stream`, async () => {
    const issueProxyCertificate = () => new Promise<never>(() => {});
    await using manager = await startServer({ issueProxyCertificate });
    await using proxy = new TestProxy(manager.port, "Bearer token-op-0");
    for (const word of words) proxy.say(word);
    await assertRefused(proxy, Code.InvalidArgument, "PROTOCOL_VIOLATION", text);
    await eventually(() => manager.proxies.size === 0, "the end of the stream");
  });
}

test("control server: a proxy that ends its side in order gets an end in order", async () => {
  await using manager = await startServer();
  await using proxy = TestProxy.of("op-0", manager.port);
  await eventually(() => manager.proxies.size === 1, "the proxy's hello");
  proxy.endSide();
  assert.equal(await proxy.end(), undefined);
  await eventually(() => manager.proxies.size === 0, "the end of the stream");
});

test("control server: a key is signed for the pod of the token, and the answer carries the end in seconds", async () => {
  const signed: unknown[] = [];
  await using manager = await startServer({
    issueProxyCertificate: async (key, { uid }) => {
      signed.push([Buffer.from(key).toString(), uid]);
      return { certificateChainPem: "chain", notAfter: new Date(5_000_999) };
    },
  });
  await using proxy = TestProxy.of("op-0", manager.port);
  proxy.say({ case: "certificateRequest", value: { publicKeySpki: Buffer.from("key") } });
  const { certificateChainPem, notAfterSeconds } = await proxy.next("certificate");
  assert.deepEqual([certificateChainPem, notAfterSeconds], ["chain", 5000n]);
  assert.deepEqual(signed, [["key", "uid-op-0"]]);
});

test("control server: a key that is none ends the stream", async () => {
  await using manager = await startServer({
    issueProxyCertificate: () => Promise.reject(new CtrlmeshError("INVALID_KEY_FILE", { what: "no EC key" })),
  });
  await using proxy = TestProxy.of("op-0", manager.port);
  proxy.say({ case: "certificateRequest", value: {} });
  await assertRefused(proxy, Code.InvalidArgument, "INVALID_KEY_FILE", /no EC key/);
});

test("control server: neither a slow nor a failing signer holds up snapshots and acks", async () => {
  const signing = Promise.withResolvers<never>();
  await using manager = await startServer({ issueProxyCertificate: () => signing.promise });
  await using proxy = TestProxy.of("op-0", manager.port);
  proxy.say({ case: "certificateRequest", value: {} });
  await eventually(() => manager.offer("op-0", "x"), "the proxy's hello");
  proxy.ack((await proxy.next("snapshot")).id);
  await eventually(() => manager.proxies.get("uid-op-0")?.acknowledged !== undefined, "the ack");
  signing.reject(new Error("no CA"));
  assert.ok(manager.offer("op-0", "y"));
  await proxy.next("snapshot");
  await eventually(() => manager.lines.some((line) => line.includes("no certificate")), "a line in the log");
});

test("control server: a new stream of a pod takes the place of its older one", async () => {
  await using manager = await startServer();
  await using before = TestProxy.of("op-0", manager.port);
  await eventually(() => manager.offer("op-0", "x"), "the first hello");
  await before.next("snapshot");
  await using next = TestProxy.of("op-0", manager.port);
  await assertRefused(before, Code.Unavailable, "CONTROL_STREAM_FAILED", /took its place/);
  assert.equal(manager.proxies.size, 1);
  assert.ok(manager.offer("op-0", "x"));
  await next.next("snapshot");
});

test("control server: a pod that is refused later is told why", async () => {
  await using manager = await startServer();
  await using proxy = TestProxy.of("op-0", manager.port);
  await eventually(() => manager.proxies.size === 1, "the proxy's hello");
  manager.proxies.refuse("uid-op-0", new CtrlmeshError("POD_NOT_FOUND", { what: "the pod is gone" }));
  await assertRefused(proxy, Code.NotFound, "POD_NOT_FOUND", /the pod is gone/);
});

test("control server: a new certificate serves new connections, a broken one leaves the last in place", async () => {
  await using manager = await startServer();
  const subject = async (): Promise<string | undefined> => {
    const socket = connectTls({
      host: "127.0.0.1",
      port: manager.port,
      servername: serverName,
      ca: authority.certificatePem,
      ALPNProtocols: ["h2"],
    });
    await within(new Promise((resolve) => socket.once("secureConnect", resolve)), "the TLS handshake");
    assert.equal(socket.getProtocol(), "TLSv1.3");
    const { CN } = socket.getPeerCertificate().subject;
    socket.destroy();
    return String(CN);
  };
  await using proxy = TestProxy.of("op-0", manager.port);
  await eventually(() => manager.proxies.size === 1, "the proxy's hello");
  assert.equal(await subject(), "manager");
  manager.state.certificate = await serving("renewed");
  manager.server.reloadCertificate();
  assert.equal(await subject(), "renewed");
  manager.state.certificate = { certificatePem: "none", privateKeyPem: "none" };
  assert.throws(() => manager.server.reloadCertificate());
  assert.equal(await subject(), "renewed");
  assert.ok(manager.offer("op-0", "x"));
  await proxy.next("snapshot");
});

test("control server: a taken port is named", async () => {
  await using manager = await startServer();
  const other = createControlServer({
    proxies: manager.proxies,
    clock: manager.clock,
    log: createLog({
      level: "error",
      format: "json",
      part: "manager",
      clock: manager.clock,
      write: () => {},
    }),
    client: manager.cluster,
    certificate: () => manager.state.certificate,
    leads: () => true,
    leaderAddress: () => undefined,
    issueProxyCertificate: () => Promise.reject(new Error("never")),
  });
  await assert.rejects(other.listen("127.0.0.1", manager.port), { code: "PORT_IN_USE" });
  await other[Symbol.asyncDispose]();
});

test("control server: its end closes streams, idle connections and half-open handshakes, and leaves no timer", async () => {
  const manager = await startServer();
  await using proxy = TestProxy.of("op-0", manager.port);
  await using waiting = new TestProxy(manager.port, "Bearer token-op-1");
  const mute = connectTcp(manager.port, "127.0.0.1");
  const muteClosed = new Promise((resolve) => mute.once("close", resolve));
  mute.on("error", () => {});
  await new Promise((resolve) => mute.once("connect", resolve));
  await eventually(() => manager.proxies.size === 1, "the proxy's hello");
  await eventually(() => manager.cluster.reviewed.length === 2, "the review of the other");
  const ended = Promise.resolve(manager.server[Symbol.asyncDispose]());
  assert.equal(await proxy.end(), undefined);
  assert.equal(await waiting.end(), undefined);
  await manager.clock.advance(1_000);
  await within(muteClosed, "the end of the mute connection");
  await within(ended, "the end of the server");
  assert.equal(manager.proxies.size, 0);
  assert.equal(manager.clock.waiting, 0);
});

/** Passes bytes on in both directions until it is frozen, as a network that has lost a node. */
async function startRelay(port: number) {
  const sockets: Socket[] = [];
  const server = createServer((down) => {
    const up = connectTcp(port, "127.0.0.1");
    for (const [from, to] of [
      [down, up],
      [up, down],
    ] as const) {
      sockets.push(from);
      from.on("error", () => {});
      from.on("close", () => to.destroy());
      from.pipe(to);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return {
    port: address !== null && typeof address === "object" ? address.port : 0,
    freeze: () => {
      for (const socket of sockets) socket.unpipe().pause().removeAllListeners("close");
    },
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

test("control server: a proxy that vanishes without a word is given up after a PING without answer", async () => {
  await using manager = await startServer();
  await using relay = await startRelay(manager.port);
  await using proxy = TestProxy.of("op-0", relay.port);
  await eventually(() => manager.proxies.size === 1, "the proxy's hello");
  await manager.clock.advance(10_000);
  // The answer to the PING puts the next one off.
  await eventually(() => manager.clock.nextDueInMs === 10_000, "the answer to the PING");
  relay.freeze();
  await manager.clock.advance(14_999);
  assert.equal(manager.proxies.size, 1);
  await manager.clock.advance(1);
  await eventually(() => manager.proxies.size === 0, "the end of the stream");
  assert.equal(manager.clock.waiting, 0);
  void proxy.end().catch(() => undefined);
});

test("control server: a connection that holds no stream ends after an interval", async () => {
  await using manager = await startServer();
  const session = openSession(manager.port);
  await within(new Promise((resolve) => session.once("remoteSettings", resolve)), "the server's SETTINGS");
  const closed = new Promise((resolve) => session.once("close", resolve));
  await manager.clock.whenWaiting(1);
  await manager.clock.advance(10_000);
  await within(closed, "the end of the connection");
});

test("control server: a proxy that does not read costs one snapshot of memory, and its end is seen", async () => {
  await using manager = await startServer();
  const session = openSession(manager.port, { initialWindowSize: 0 });
  const stream = openStream(session, "Bearer token-op-0");
  say(stream, { case: "hello", value: {} });
  await eventually(() => manager.proxies.size === 1, "the proxy's hello");
  const large = "x".repeat(100_000);
  for (let number = 0; number < 200; number += 1) {
    assert.ok(manager.offer("op-0", `${number} ${large}`));
    await new Promise((resolve) => setImmediate(resolve));
  }
  session.destroy();
  await eventually(() => manager.proxies.size === 0, "the end of the stream");
});

test("control server: a proxy that stopped reading and then vanished is given up too", async () => {
  await using manager = await startServer();
  await using relay = await startRelay(manager.port);
  const session = openSession(relay.port);
  const stream = openStream(session, "Bearer token-op-0");
  say(stream, { case: "hello", value: {} });
  await eventually(() => manager.proxies.size === 1, "the proxy's hello");
  relay.freeze();
  for (let number = 0; number < 20; number += 1) {
    assert.ok(manager.offer("op-0", `${number} ${"x".repeat(100_000)}`));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await manager.clock.advance(15_000);
  await eventually(() => manager.proxies.size === 0, "the end of the stream");
  session.destroy();
});

test("control server: a stream that brings a deadline ends with it", async () => {
  await using manager = await startServer();
  const session = openSession(manager.port);
  const stream = openStream(session, "Bearer token-op-0", { "grpc-timeout": "1S" });
  say(stream, { case: "hello", value: {} });
  await eventually(() => manager.proxies.size === 1, "the proxy's hello");
  await eventually(() => manager.proxies.size === 0, "the end of the stream");
  session.destroy();
});

test("control server: bytes that are no gRPC end their stream and no other", async () => {
  await using manager = await startServer();
  await using proxy = TestProxy.of("op-0", manager.port);
  await eventually(() => manager.proxies.size === 1, "the proxy's hello");
  const session = openSession(manager.port);
  const wrong = [
    { ":authority": "[" },
    { ":authority": "" },
    { ":path": "/ctrlmesh.v1.ControlService/Other" },
    { ":method": "GET" },
    { "content-type": "application/json" },
    { "grpc-timeout": "soon" },
  ];
  for (const headers of wrong) {
    const stream = openStream(session, "Bearer token-op-1", headers);
    stream.resume();
    const ended = new Promise((resolve) => stream.once("end", resolve).once("close", resolve));
    if (headers[":method"] === undefined) say(stream, { case: "hello", value: {} });
    await within(ended, `the end of ${JSON.stringify(headers)}`);
    stream.close();
  }
  const garbage = openStream(session, "Bearer token-op-1");
  garbage.resume();
  garbage.write(Buffer.from([0, 0, 0, 0, 2, 0xff, 0xff]));
  await within(new Promise((resolve) => garbage.once("end", resolve)), "the end of the garbage");
  assert.equal(manager.proxies.size, 1);
  assert.ok(manager.offer("op-0", "x"));
  await proxy.next("snapshot");
  session.destroy();
});

test("control server: a message of a kind that is not known ends the stream and says what to upgrade", async () => {
  await using manager = await startServer();
  const session = openSession(manager.port);
  const stream = openStream(session, "Bearer token-op-0");
  stream.resume();
  say(stream, { case: "hello", value: {} });
  // Field 99, length-delimited, empty.
  stream.write(Buffer.from([0, 0, 0, 0, 3, 0x9a, 0x06, 0x00]));
  const trailers = await within(
    new Promise<NodeJS.Dict<string | string[]>>((resolve) => stream.once("trailers", resolve)),
    "trailers",
  );
  assert.equal(trailers["ctrlmesh-code"], "PROTOCOL_VIOLATION");
  assert.match(String(trailers["grpc-message"]), /upgrade/);
  // This side stays open until the server has waited long enough.
  const closed = new Promise((resolve) => stream.once("close", resolve));
  await manager.clock.whenWaiting(2);
  await manager.clock.advance(1_000);
  await within(closed, "the end of both halves");
  session.destroy();
});

function openSession(port: number, settings: { initialWindowSize?: number } = {}): ClientHttp2Session {
  const session = connectHttp2(`https://127.0.0.1:${port}`, {
    ca: authority.certificatePem,
    servername: serverName,
    settings,
  });
  session.on("error", () => {});
  return session;
}

function openStream(
  session: ClientHttp2Session,
  authorization: string,
  headers: NodeJS.Dict<string> = {},
): ClientHttp2Stream {
  const stream = session.request(
    {
      ":method": "POST",
      ":path": "/ctrlmesh.v1.ControlService/Connect",
      "content-type": "application/grpc+proto",
      te: "trailers",
      authorization,
      ...headers,
    },
    { endStream: headers[":method"] === "GET" },
  );
  stream.on("error", () => {});
  return stream;
}

function say(stream: ClientHttp2Stream, message: ProxyWord): void {
  const bytes = toBinary(ProxyMessageSchema, create(ProxyMessageSchema, { message }));
  const head = Buffer.alloc(5);
  head.writeUInt32BE(bytes.length, 1);
  stream.write(Buffer.concat([head, bytes]));
}
