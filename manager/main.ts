import { wellKnown } from "#api/names";
import { version } from "#api/version";
import { startInformer } from "#kube/client/informer";
import { electionIdentity, runElection } from "#kube/client/lease-election";
import type { ReflectorDeps } from "#kube/client/reflector";
import { systemClock } from "#runtime/clock";
import { Health } from "#runtime/health";
import { createLog, type Log, standardErrorWriter } from "#runtime/log";
import { createPrometheusMetrics } from "#runtime/prometheus";
import { type Environment, settingsOrHelp } from "#runtime/settings";
import { listenForShutdown } from "#runtime/shutdown";
import { Proxies } from "./control/proxies.ts";
import { createControlServer } from "./control/server.ts";
import { startHttpServer } from "./http.ts";
import { lead } from "./leadership.ts";
import { leaderAddress, managerStateKind } from "./manager-state.ts";
import { registerManagerMetrics } from "./metrics.ts";
import { connectManager, startReplica } from "./replica.ts";
import { type ManagerSettings, managerSettings } from "./settings.ts";

/** Running admissions and streams get this long at the end; must fit into the pod's grace period. */
const shutdownMs = 10_000;
/** A token review and a pod for each new stream. */
const streamPace = { qps: 200, burst: 500 };

/**
 * Runs a replica of the manager until SIGTERM or SIGINT. Resolves with the exit code.
 *
 * @throws INVALID_FLAG, INVALID_SETTING before anything is started; PORT_IN_USE
 */
export async function runManager(argv: readonly string[], env: Environment): Promise<number> {
  const settings = await settingsOrHelp({
    command: "ctrlmesh manager",
    about: "Runs the control plane: shard labels, ownership, snapshots for proxies, admission webhooks.",
    table: managerSettings,
    argv,
    env,
  });
  if (settings === undefined) return 0;
  const log = createLog({
    level: settings.logLevel,
    format: settings.logFormat,
    part: "manager",
    clock: systemClock,
    write: standardErrorWriter(),
  }).child({ pod: settings.podName });
  using shutdown = listenForShutdown({
    deadlineMs: shutdownMs,
    source: process,
    exit: (code) => process.exit(code),
    clock: systemClock,
    log,
  });
  await serve(settings, env, log, shutdown.signal);
  return 0;
}

/** Starts every part in order; the stack ends them in reverse. Decides nothing. */
async function serve(
  settings: ManagerSettings,
  env: Environment,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  const deps: ReflectorDeps = { clock: systemClock, log, random: Math.random };
  await using stack = new AsyncDisposableStack();
  const connection = stack.use(await connectManager(settings, env, deps));
  log.info("manager starts", { version, server: connection.server, namespace: settings.namespace });

  const health = new Health();
  const metrics = createPrometheusMetrics({ processMetrics: true });
  const readiness = { start: false, webhooks: false };
  const leadership = { leads: false, holder: undefined as string | undefined };
  health.addReadyCheck("start", () =>
    readiness.start ? undefined : "certificates and listeners are being made",
  );
  health.addReadyCheck("leader", () =>
    leadership.leads || leadership.holder !== undefined ? undefined : "no replica leads yet",
  );
  // Before the API server knows the webhooks, pods of opted-in namespaces would start without a proxy.
  health.addReadyCheck("webhooks", () =>
    readiness.webhooks || !leadership.leads ? undefined : "webhook configurations are not in place yet",
  );
  stack.use(await startHttpServer({ health, metrics }, settings.listenHost, settings.httpBindPort));

  const replica = await startReplica(settings, connection, deps, stack, signal);
  const proxies = new Proxies(deps.clock);
  const states = stack.use(startInformer(connection, { kind: managerStateKind }, deps));
  const control = stack.use(
    createControlServer({
      // A pace of its own: whoever dials in must not use up what leases and labels need.
      client: connection.paced(streamPace),
      proxies,
      clock: deps.clock,
      log,
      certificate: () => replica.certificates.controlServing,
      issueProxyCertificate: (publicKey, pod) => replica.certificates.issueProxyCertificate(publicKey, pod),
      leads: () => leadership.leads,
      leaderAddress: () => leaderAddress(states.get({ name: wellKnown.managerState })),
    }),
  );
  const leaderMetrics = registerManagerMetrics(metrics, {
    proxies,
    control,
    leads: () => leadership.leads,
    certificates: replica.certificates,
  });
  // One listener each: a certificate that one server refuses must not keep the next from taking its own.
  for (const apply of [
    () => replica.bundles.wake(),
    () => control.reloadCertificate(),
    () => replica.webhooks.reloadCertificate(),
  ]) {
    stack.use(replica.certificates.onChange(apply));
  }
  await replica.namespaces.synced(signal);
  await control.listen(settings.listenHost, settings.grpcLeaderElectionPort);
  await replica.webhooks.listen(settings.listenHost, settings.webhookPort);
  readiness.start = true;

  await runElection(
    {
      lease: {
        namespace: settings.leaderElectionNamespace ?? settings.namespace,
        name: wellKnown.managerLease,
      },
      identity: electionIdentity(settings.podName),
      timing: timingOf(settings),
      onLeading: async (leading, term) => {
        leadership.leads = true;
        try {
          const onWebhooks = (): void => {
            readiness.webhooks = true;
          };
          await lead({
            settings,
            replica,
            proxies,
            metrics: leaderMetrics,
            deps,
            term,
            onWebhooks,
            signal: leading,
          });
        } finally {
          leadership.leads = false;
          proxies.closeAll();
        }
      },
      onHolder: (identity) => {
        leadership.holder = identity;
      },
      signal,
    },
    { ...deps, client: connection.paced({ qps: 0, burst: 1 }) },
  );
}

/** client-go's proportions: 15 s, 10 s, 2 s. */
function timingOf({ leaseDurationSeconds }: ManagerSettings) {
  const leaseMs = leaseDurationSeconds * 1000;
  return { leaseMs, renewDeadlineMs: (leaseMs * 2) / 3, retryMs: (leaseMs * 2) / 15 };
}
