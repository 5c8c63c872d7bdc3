import { randomBytes } from "node:crypto";
import { type Clock, systemClock } from "#runtime/clock";
import type { Log } from "#runtime/log";
import { createAuthority, issueCertificate } from "#runtime/x509";
import { namespaceLifecycle } from "./admission/namespace-lifecycle.ts";
import { serviceAccountAdmission } from "./admission/service-account.ts";
import type { ServiceResolver } from "./admission/webhook-call.ts";
import { webhookAdmission } from "./admission/webhooks.ts";
import { Authenticator, type StaticToken } from "./auth/authenticate.ts";
import { RbacAuthorizer } from "./auth/rbac.ts";
import { TokenIssuer } from "./auth/tokens.ts";
import { createBootstrapObjects } from "./bootstrap.ts";
import { builtInDefinitions } from "./builtin/catalog.ts";
import { startDefinitionController } from "./controllers/definition-controller.ts";
import { startGarbageCollector } from "./controllers/garbage-collector.ts";
import { startNamespaceController } from "./controllers/namespace-controller.ts";
import { Faults } from "./faults.ts";
import { printKubeconfig } from "./kubeconfig.ts";
import type { PodLogs } from "./pod-logs.ts";
import { Registry } from "./registry.ts";
import { RequestLog, type RequestRecord } from "./request-log.ts";
import { Reviews } from "./reviews.ts";
import { Listener } from "./server.ts";
import type { ServerState } from "./server-state.ts";
import { Storage } from "./storage.ts";
import { mastersGroup } from "./user.ts";
import { WatchCache } from "./watch-cache.ts";

export interface ApiServerOptions {
  /** 0: any free one. */
  readonly port: number;
  /** Address to listen on. Default 127.0.0.1. */
  readonly host?: string;
  readonly log: Log;
  readonly clock?: Clock;
  /** Changes of each collection that a watch may reach back. Default 10,000. */
  readonly historyLimit?: number;
  /** Default 60,000. */
  readonly bookmarkIntervalMs?: number;
  /** Offer HTTP/2 beside HTTP/1.1, as kube-apiserver does. Default true. */
  readonly http2?: boolean;
  /** More names and addresses in the serving certificate. */
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
  /** Tokens known from the start, beside the administrator's. */
  readonly tokens?: readonly StaticToken[];
  /** Where the Services of webhooks are reached. Default: nowhere, so that only url webhooks work. */
  readonly resolveService?: ServiceResolver;
}

/** A running API server. Disposing it ends connections and timers; the objects are gone with it. */
export interface ApiServer extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  /** Of the authority that signed the serving certificate; client certificates of it are accepted. */
  readonly caPem: string;
  /** Bearer token of group system:masters. */
  readonly adminToken: string;
  readonly issuer: string;
  readonly storage: Storage;
  readonly faults: ServerFaults;
  /** kubeconfig with the administrator's client certificate. */
  adminKubeconfig(): string;
  /** kubeconfig for a bearer token. */
  kubeconfigForToken(token: string): string;
  onRequest(listener: (record: RequestRecord) => void): Disposable;
  /** Where `kubectl logs` gets its answers from. */
  setPodLogs(source: PodLogs): void;
  /** Number of open watches. */
  openWatches(): number;
}

export interface ServerFaults extends Pick<Faults, "slow" | "tooManyRequests" | "expired"> {
  /** Forgets the history: older resourceVersions and continue tokens answer 410 from here on. */
  compact(): void;
  /** Ends every open watch with an ERROR event 410. */
  expireWatches(): void;
  /** Cuts every connection and refuses new ones; storage and controllers go on. */
  stopListening(): Promise<void>;
  /** Listens again on the same port. */
  startListening(): Promise<void>;
}

const issuerUrl = "https://kubernetes.default.svc.cluster.local";
const certificateDays = 365;

/** @throws PORT_IN_USE */
export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const { log, host = "127.0.0.1", clock = systemClock } = options;
  await using stack = new AsyncDisposableStack();
  const stopping = stack.adopt(new AbortController(), (controller) => controller.abort());
  const authority = await createAuthority({ commonName: "devcluster-ca", days: certificateDays });
  const caPem = authority.certificatePem;
  const serving = await issueCertificate(authority, {
    commonName: "kube-apiserver",
    dnsNames: [
      ...["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"],
      ...["kubernetes.default.svc.cluster.local", ...(options.dnsNames ?? [])],
    ],
    ipAddresses: ["127.0.0.1", "10.96.0.1", ...(options.ipAddresses ?? [])],
    days: certificateDays,
    usage: "server",
  });
  const admin = await issueCertificate(authority, {
    commonName: "admin",
    organization: mastersGroup,
    dnsNames: [],
    ipAddresses: [],
    days: certificateDays,
    usage: "client",
  });
  const adminToken = randomBytes(24).toString("base64url");
  const administrator = { username: "admin", uid: "", groups: [mastersGroup], extra: {} };

  const storage = new Storage(options.historyLimit);
  const registry = new Registry();
  for (const definition of builtInDefinitions()) registry.add(definition);
  const watches = stack.use(new WatchCache(storage));
  const state: ServerState = {
    storage,
    registry,
    watches,
    clock,
    admission: [
      namespaceLifecycle(storage),
      serviceAccountAdmission(storage),
      webhookAdmission(storage, options.resolveService ?? (() => undefined)),
    ],
    logs: { source: undefined },
  };
  stack.use(startDefinitionController(storage, registry, clock));
  stack.use(startGarbageCollector(state, log, stopping.signal));
  stack.use(startNamespaceController({ state, caPem, log }, stopping.signal));
  await createBootstrapObjects(state, stopping.signal);

  const issuer = new TokenIssuer(issuerUrl, clock);
  const tokens = [{ token: adminToken, user: administrator }, ...(options.tokens ?? [])];
  const authenticator = new Authenticator(tokens, issuer, storage);
  const authorizer = new RbacAuthorizer(storage);
  const requestLog = new RequestLog();
  const faults = new Faults(clock);
  const listener = stack.use(
    new Listener(
      {
        state,
        reviews: new Reviews(authenticator, authorizer, issuer, storage),
        watchSettings: {
          bookmarkIntervalMs: options.bookmarkIntervalMs ?? 60_000,
          minimumTimeoutSeconds: 1800,
        },
        authenticator,
        authorizer,
        issuer,
        requestLog,
        faults,
        log,
        http2: options.http2 ?? true,
      },
      { certificatePem: serving.certificatePem, privateKeyPem: serving.privateKeyPem ?? "", caPem },
    ),
  );
  const port = await listener.listen(host, options.port);
  const url = `https://${host.includes(":") ? `[${host}]` : host}:${port}`;
  const running = stack.move();
  const adminUser = { certificatePem: admin.certificatePem, privateKeyPem: admin.privateKeyPem ?? "" };
  return {
    url,
    port,
    caPem,
    adminToken,
    issuer: issuerUrl,
    storage,
    faults: {
      slow: (delayMs, applies) => faults.slow(delayMs, applies),
      tooManyRequests: (retryAfterSeconds, applies) => faults.tooManyRequests(retryAfterSeconds, applies),
      expired: (applies) => faults.expired(applies),
      compact: () => storage.compact(),
      expireWatches: () => watches.expireAll(),
      stopListening: () => listener.stop(),
      startListening: async () => {
        await listener.listen(host, port);
      },
    },
    adminKubeconfig: () => printKubeconfig({ server: url, caPem, user: adminUser }),
    kubeconfigForToken: (token) => printKubeconfig({ server: url, caPem, user: { token } }),
    onRequest: (each) => requestLog.onRequest(each),
    setPodLogs: (source) => {
      state.logs.source = source;
    },
    openWatches: () => watches.size,
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
