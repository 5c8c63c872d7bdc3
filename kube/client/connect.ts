import { CtrlmeshError } from "#api/errors";
import type { Clock } from "#runtime/clock";
import type { KubeConnection } from "./client.ts";
import { type InCluster, inClusterCredentials } from "./credentials.ts";
import { HttpClient } from "./http-client.ts";
import { type RateLimit, RateLimiter } from "./rate-limit.ts";
import { Transport } from "./transport.ts";

export interface ConnectOptions {
  /** Kubeconfig files, several joined as in `KUBECONFIG`. Counts before `inCluster`. */
  readonly kubeconfigFile?: string;
  /** Context of the kubeconfig; default: its current one. */
  readonly context?: string;
  /** Identity of the pod that we run in. */
  readonly inCluster?: InCluster;
  readonly userAgent: string;
  /** Client-side limit; default 50 per second, 100 at once. */
  readonly rateLimit?: RateLimit;
}

export interface ConnectDeps {
  readonly clock: Clock;
  readonly random: () => number;
}

const defaultRateLimit: RateLimit = { qps: 50, burst: 100 };

/**
 * A connection to the API server of a kubeconfig or of the cluster we run in. Sends nothing yet: the first
 * call shows whether the server is there.
 *
 * @throws KUBECONFIG_INVALID, FILE_UNREADABLE
 */
export async function connect(options: ConnectOptions, deps: ConnectDeps): Promise<KubeConnection> {
  const credentials = await credentialsOf(options, deps.clock);
  const transport = new Transport(credentials);
  const { clock, random } = deps;
  const client = (limit: RateLimit, userAgent: string) =>
    new HttpClient({ transport, limiter: new RateLimiter(limit, clock), clock, random, userAgent });
  const main = client(options.rateLimit ?? defaultRateLimit, options.userAgent);
  return {
    server: credentials.server.origin,
    namespace: credentials.namespace,
    get: (kind, name, call) => main.get(kind, name, call),
    list: (kind, query, call) => main.list(kind, query, call),
    create: (kind, object, call) => main.create(kind, object, call),
    update: (kind, object, call) => main.update(kind, object, call),
    patch: (kind, name, patch, call) => main.patch(kind, name, patch, call),
    delete: (kind, name, call) => main.delete(kind, name, call),
    raw: (method, path, body, call) => main.raw(method, path, body, call),
    watch: (kind, query, call) => main.watch(kind, query, call),
    text: (path, call) => main.text(path, call),
    paced: ({ userAgent, ...limit }) => client(limit, userAgent ?? options.userAgent),
    [Symbol.asyncDispose]: () => transport[Symbol.asyncDispose](),
  };
}

async function credentialsOf(options: ConnectOptions, clock: Clock) {
  if (options.kubeconfigFile !== undefined) {
    const { kubeconfigCredentials } = await import("./kubeconfig.ts");
    return await kubeconfigCredentials(options.kubeconfigFile, options.context, clock);
  }
  if (options.inCluster !== undefined) return await inClusterCredentials(options.inCluster, clock);
  throw new CtrlmeshError("KUBECONFIG_INVALID", {
    what: "no way to an API server is known",
    hint: "give --kubeconfig, set KUBECONFIG or run inside a cluster",
  });
}
