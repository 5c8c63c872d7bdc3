import { once } from "node:events";
import { connect as connectTcp, type Socket } from "node:net";
import { connect, createServer, type TLSSocket } from "node:tls";
import { queryObjects } from "node:v8";
import { Exchange } from "#proxy/apiserver/exchange";
import type { FloorAnswer } from "#proxy/apiserver/floor-scope";
import { Http1Connection } from "#proxy/apiserver/http1/connection";
import { Harness, requestOf } from "#proxy/apiserver/raw-harness";
import { createIdentity } from "#proxy/transport/raw-peers";

/**
 * `node --expose-gc e2e/peers/leak-run.ts N`: opens N connections to the proxy, cuts each at one of the stages,
 * and prints as JSON what is left. A process of its own, so that nothing else is in the figures.
 */

/** Figures of the process when no connection is open. */
export interface Remains {
  readonly heapBytes: number;
  /** How many of each kind `process.getActiveResourcesInfo` tells. */
  readonly resources: Readonly<Record<string, number>>;
  /** Objects of these classes that a garbage collection leaves. */
  readonly objects: { readonly connections: number; readonly exchanges: number };
  readonly connectionsOpen: number;
  readonly tunnelsOpen: number;
  readonly upstreamSockets: number;
}

export interface LeakRun {
  readonly connections: number;
  readonly seconds: number;
  /** How many connections were cut at each stage. */
  readonly cuts: Readonly<Record<string, number>>;
  /** Behind a first tenth of the connections, when caches and compiled code are there. */
  readonly before: Remains;
  readonly after: Remains;
}

const concurrent = 40;

const half = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345";
const whole = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const event =
  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n3\r\n{}\n\r\n";
const informational = "HTTP/1.1 103 Early Hints\r\n\r\n";
const switched = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\nhello";

/** What the client sends, what it is answered, and when it cuts: at once, at the first byte, or when the other side does. */
interface Stage {
  readonly name: string;
  readonly sends: string;
  readonly answer?: string;
  readonly cuts: "handshake" | "at once" | "sent" | "answered" | "never";
}

const stages: readonly [Stage, ...Stage[]] = [
  { name: "in the TLS handshake", sends: "", cuts: "handshake" },
  { name: "before a head", sends: "", cuts: "at once" },
  { name: "in a head", sends: "GET /api HTTP/1.1\r\nHost: a\r\nAcc", cuts: "sent" },
  {
    name: "in a body",
    sends: `${requestOf("POST /body", "Content-Length: 10")}12345`,
    answer: informational,
    cuts: "answered",
  },
  { name: "while the upstream connects", sends: requestOf("GET /hang"), cuts: "sent" },
  { name: "while waiting for a floor", sends: requestOf("GET /api/v1/configmaps"), cuts: "sent" },
  {
    name: "while waiting for the answer",
    sends: requestOf("GET /early"),
    answer: informational,
    cuts: "answered",
  },
  { name: "in an answer", sends: requestOf("GET /half"), answer: half, cuts: "answered" },
  { name: "in a watch", sends: requestOf("GET /api/v1/nodes?watch=true"), answer: event, cuts: "answered" },
  {
    name: "behind an upgrade",
    sends: requestOf("POST /api/v1/namespaces/a/pods/p/exec", "Connection: Upgrade", "Upgrade: SPDY/3.1"),
    answer: switched,
    cuts: "answered",
  },
  { name: "by the API server in an answer", sends: requestOf("GET /cut"), answer: half, cuts: "never" },
  { name: "behind an answer", sends: requestOf("GET /whole"), answer: whole, cuts: "answered" },
];

/** Answers by the target's stage; keeps nothing of its connections but their number. */
class ScriptedUpstream {
  sockets = 0;
  readonly #server;

  constructor(identity: Awaited<ReturnType<typeof createIdentity>>) {
    this.#server = createServer({
      key: identity.privateKeyPem,
      cert: identity.certificatePem,
      ALPNProtocols: ["http/1.1"],
    });
    this.#server.on("connection", (socket: Socket) => {
      this.sockets++;
      socket.once("close", () => this.sockets--);
      socket.on("error", () => undefined);
    });
    this.#server.on("tlsClientError", (_error, socket) => socket.destroy());
    this.#server.on("secureConnection", (socket: TLSSocket) => {
      socket.on("error", () => undefined);
      socket.once("data", (bytes: Buffer) => {
        const head = bytes.toString("latin1");
        const stage = stages.find(({ sends }) => sends !== "" && head.startsWith(sends.slice(0, 20)));
        if (stage?.answer === undefined) return;
        if (stage.cuts === "never") socket.write(stage.answer, () => socket.destroy());
        else socket.write(stage.answer);
      });
    });
  }

  async listen(): Promise<number> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  close(): void {
    this.#server.close();
  }
}

const identity = await createIdentity();
const upstream = new ScriptedUpstream(identity);
const upstreamPort = await upstream.listen();
/** Floors can't be read while the connections are cut: what waits for one must not wait in memory. */
const floorReadMs = 200;
const harness = await Harness.start({
  upstream: { host: "127.0.0.1", port: upstreamPort, servername: "127.0.0.1", ca: () => identity.caPem },
  handshakeTimeoutMs: 1_000,
  readFloor: () =>
    new Promise<FloorAnswer>((_resolve, reject) => setTimeout(() => reject(new Error("away")), floorReadMs)),
});
const { port } = harness.proxy.address;

async function open(stage: Stage, index: number): Promise<void> {
  if (stage.cuts === "handshake") {
    const socket = connectTcp(port, "127.0.0.1");
    socket.on("error", () => undefined);
    // Nothing, something else than TLS, or the beginning of a ClientHello.
    const bytes = ["", "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00"][index % 3] ?? "";
    socket.once("connect", () => socket.write(Buffer.from(bytes, "latin1"), () => socket.destroy()));
    await closed(socket);
    return;
  }
  const socket = connect({
    host: "127.0.0.1",
    port,
    ca: harness.identity.caPem,
    ALPNProtocols: ["http/1.1"],
  });
  socket.on("error", () => undefined);
  socket.once("secureConnect", () => {
    if (stage.cuts === "at once") socket.destroy();
    else if (stage.cuts === "sent") socket.write(stage.sends, () => socket.destroy());
    else socket.write(stage.sends);
  });
  socket.on("data", () => {
    if (stage.cuts === "answered") socket.destroy();
  });
  await closed(socket);
}

/** `once` would reject on an error, and what is cut may well end with one. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => void socket.once("close", () => resolve()));
}

const cuts: Record<string, number> = {};

async function openMany(from: number, to: number): Promise<void> {
  let next = from;
  const worker = async (): Promise<void> => {
    while (next < to) {
      const index = next++;
      const stage = stages[index % stages.length] ?? stages[0];
      await open(stage, Math.floor(index / stages.length));
      cuts[stage.name] = (cuts[stage.name] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: concurrent }, worker));
}

/** Handshakes that stop half-way are cut behind a second, and a failed read of a floor is tried again within about 5 s. */
const settleMs = 60_000;

async function remains(): Promise<Remains> {
  const deadline = performance.now() + settleMs;
  const isQuiet = (): boolean =>
    upstream.sockets === 0 &&
    !process.getActiveResourcesInfo().includes("TCPSocketWrap") &&
    queryObjects(Http1Connection, { format: "count" }) === 0;
  while (!isQuiet() && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 50));
  // A few turns, for what is closed but not let go yet.
  for (let turn = 0; turn < 5; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    globalThis.gc?.();
  }
  const resources: Record<string, number> = {};
  for (const name of process.getActiveResourcesInfo()) resources[name] = (resources[name] ?? 0) + 1;
  return {
    objects: {
      connections: queryObjects(Http1Connection, { format: "count" }),
      exchanges: queryObjects(Exchange, { format: "count" }),
    },
    heapBytes: process.memoryUsage().heapUsed,
    resources,
    connectionsOpen: harness.counters.connectionsOpen,
    tunnelsOpen: harness.counters.tunnelsOpen,
    upstreamSockets: upstream.sockets,
  };
}

const connections = Number(process.argv[2] ?? 5_000);
const warmUp = Math.ceil(connections / 10);
const start = performance.now();
await openMany(0, warmUp);
const before = await remains();
await openMany(warmUp, connections);
const after = await remains();
const run: LeakRun = { connections, seconds: (performance.now() - start) / 1000, cuts, before, after };
console.log(JSON.stringify(run));
await harness[Symbol.asyncDispose]();
upstream.close();
