import { readFileSync } from "node:fs";
import { type ControlPlane, startControlPlane } from "../cluster/control-plane.ts";
import { ProxiedOperator } from "../proxied/proxied-operator.ts";
import { SnapshotManager } from "../proxied/snapshot-manager.ts";
import type { Encoding } from "./decode.ts";
import { EtcdHistory } from "./etcd-history.ts";
import type { Random } from "./random.ts";
import { Reflector, type Start } from "./reflector.ts";
import type { Scope } from "./scope.ts";
import { Shard } from "./shard.ts";
import { Tally } from "./tally.ts";
import { TcpRelay } from "./tcp-relay.ts";
import { Transport } from "./transport.ts";
import { Upheavals } from "./upheavals.ts";
import { resources, ViewTimeline } from "./view.ts";
import { apps, namespaces, Writer } from "./writer.ts";

export interface WorldOptions {
  readonly servers: number;
  /** Reflectors for each resource. */
  readonly clients: number;
  readonly random: Random;
  /** Ends what waits for a condition. */
  readonly signal: AbortSignal;
}

/** Real API servers, one etcd, one proxy, its clients, and what may happen to them. */
export interface World extends AsyncDisposable {
  readonly plane: ControlPlane;
  readonly history: EtcdHistory;
  readonly operator: ProxiedOperator;
  readonly shard: Shard;
  readonly writer: Writer;
  /** Through the proxy. */
  readonly reflectors: readonly Reflector[];
  /** Past the proxy, with a selector of its own: what it is told must stand the same checks. */
  readonly control: Reflector;
  /** In front of the proxy. */
  readonly downstream: TcpRelay;
  /** Between the proxy and the API servers, as a service address. */
  readonly upstream: TcpRelay;
  readonly upheavals: Upheavals;
  readonly tally: Tally;
  /** API servers that take no writes now. */
  readonly away: Set<number>;
  readonly signal: AbortSignal;
  /** A new client's connections. */
  connect(way: Way): Transport;
}

/** Through the proxy by one protocol, or straight to an API server. */
export type Way = "h2" | "http/1.1" | "direct";

const controlView = { kind: "teams", teams: ["a", "b"] } as const;
const starts: readonly Start[] = ["WatchList", "any version", "pages", "consistent list"];

export async function startWorld(options: WorldOptions): Promise<World> {
  const { servers, random } = options;
  await using stack = new AsyncDisposableStack();
  const speaksCbor = random.chance(0.5);
  const plane = stack.use(
    await startControlPlane({
      apiServers: servers,
      featureGates: { CBORServingAndStorage: speaksCbor },
      apiserverArgs: ["--storage-media-type=application/json"],
    }),
  );
  const manager = stack.use(await SnapshotManager.listen());
  const history = stack.use(await EtcdHistory.follow(plane.etcdUrl));
  const targets = plane.urls.map((url) => Number(new URL(url).port));
  const balance = random.fork();
  const upstream = stack.use(await TcpRelay.listen({ target: () => balance.pick(targets) }));
  const meshCaPem = manager.authority.certificatePem;
  const operator = stack.use(
    await ProxiedOperator.create({
      plane,
      managerPort: manager.port,
      meshCaPem,
      upstream: `127.0.0.1:${upstream.port}`,
    }),
  );
  const away = new Set<number>();
  const admin = adminOf(plane);
  const shard = new Shard(manager, history);
  const scopes = scopesOf(random, options.clients);
  const aims = random.fork();
  const writer = stack.use(
    new Writer({
      endpoints: () => plane.urls.filter((_, index) => !away.has(index)),
      tls: admin,
      random: random.fork(),
      history,
      aim: (resource) => ({
        scope: aims.pick(scopes.filter((scope) => scope.resource === resource)),
        view: shard.timelines[resource].newest?.view,
      }),
    }),
  );
  for (const name of namespaces) await writer.send("POST", "/api/v1/namespaces", { metadata: { name } });
  for (let written = 0; written < 120; written++) await writer.write();

  const { port, token } = operator.endpoint;
  const cuts = random.fork();
  const downstream = stack.use(
    await TcpRelay.listen({
      target: () => port,
      cutAfterBytes: () => (cuts.chance(0.15) ? cuts.between(1, 60_000) : undefined),
    }),
  );
  const connect = (way: Way): Transport =>
    way === "direct"
      ? new Transport({ port: upstream.port, offers: ["h2"], tls: admin })
      : new Transport({
          port: downstream.port,
          offers: way === "h2" ? ["h2", "http/1.1"] : ["http/1.1"],
          tls: { ca: meshCaPem },
          bearerToken: token,
        });
  const [upheavals, tally] = [new Upheavals(), new Tally()];
  const shared = { history, upheavals, tally };
  const encodings: readonly Encoding[] = ["json", "protobuf", ...(speaksCbor ? (["cbor"] as const) : [])];
  // An operator has one HTTP/2 connection for all it watches.
  const http2Client = stack.use(connect("h2"));
  const reflectors = scopes.map((scope, index) => {
    const protocol = random.pick(["h2", "http/1.1"] as const);
    const encoding = random.pick(encodings);
    const start = random.pick(starts);
    return new Reflector({
      ...shared,
      name: `reflector ${index} (${scope.resource} of ${scope.namespace ?? "all"} ${scope.app ?? ""}, ${start}, ${encoding}, ${protocol})`,
      scope,
      encoding,
      start,
      transport: protocol === "h2" ? http2Client : stack.use(connect(protocol)),
      timeline: shard.timelines[scope.resource],
      random: random.fork(),
    });
  });
  const controlTimeline = new ViewTimeline();
  controlTimeline.sending(controlView, 0);
  const control = new Reflector({
    ...shared,
    tally: new Tally(),
    name: "control (configmaps, past the proxy)",
    scope: { resource: "configmaps", namespace: undefined, app: undefined },
    selector: "team in (a,b)",
    encoding: "json",
    start: random.pick(starts.filter((start) => start !== "any version")),
    transport: stack.use(connect("direct")),
    timeline: controlTimeline,
    random: random.fork(),
  });
  const running = stack.move();
  return {
    ...{ plane, history, operator, shard, writer, reflectors, control, downstream, upstream },
    ...{ upheavals, tally, away, connect, signal: options.signal },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

function scopesOf(random: Random, clients: number): Scope[] {
  return resources.flatMap((resource) =>
    Array.from({ length: clients }, () => ({
      resource,
      namespace: random.chance(0.2) ? random.pick(namespaces) : undefined,
      app: random.chance(0.2) ? random.pick(apps) : undefined,
    })),
  );
}

/** The admin's certificate, from the kubeconfig. */
function adminOf(plane: ControlPlane): { ca: string; cert: Buffer; key: Buffer } {
  const { users } = JSON.parse(readFileSync(plane.kubeconfig, "utf8"));
  const { user } = users[0];
  return {
    ca: plane.caPem,
    cert: Buffer.from(user["client-certificate-data"], "base64"),
    key: Buffer.from(user["client-key-data"], "base64"),
  };
}
