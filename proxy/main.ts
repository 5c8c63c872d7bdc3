import { readFileSync } from "node:fs";
import { fromBinary } from "@bufbuild/protobuf";
import { type CtrlmeshError, toCtrlmeshError } from "#api/errors";
import { SnapshotSchema } from "#api/gen/ctrlmesh/v1/control_pb";
import { version } from "#api/version";
import { systemClock } from "#runtime/clock";
import { Health } from "#runtime/health";
import { createLog, type Log, standardErrorWriter } from "#runtime/log";
import { createMetrics } from "#runtime/metrics";
import type { Environment } from "#runtime/settings";
import { listenForShutdown } from "#runtime/shutdown";
import { AdminServer } from "./admin.ts";
import { createDataPlaneCounters } from "./apiserver/counters.ts";
import { FloorTable } from "./apiserver/floor.ts";
import { FloorReader } from "./apiserver/floor-reader.ts";
import { decide } from "./apiserver/pipeline.ts";
import { ServingCertificate } from "./certificate.ts";
import { SnapshotIntake } from "./control/snapshot-intake.ts";
import { ControlClient } from "./control-client.ts";
import { DataPlane } from "./data-plane.ts";
import { durableFiles } from "./durable-files.ts";
import { isFirstStart } from "./first-start.ts";
import { registerProxyMetrics } from "./metrics.ts";
import { addReadyChecks } from "./readiness.ts";
import { Relists } from "./relists.ts";
import { reportOf } from "./report.ts";
import { managerServerName, type ProxySettings, readProxySettings } from "./settings.ts";
import { compileSnapshot } from "./snapshot.ts";
import { SnapshotFile, type StoredSnapshot } from "./snapshot-file.ts";
import type { WebhookRelay, WebhookRelayDeps } from "./webhook-relay/relay.ts";

/** Beyond the time for running requests: closing files and sockets. */
const closingMs = 3_000;

/**
 * Runs the proxy until SIGTERM or SIGINT, then drains it. Resolves with the exit code.
 *
 * @throws INVALID_FLAG, INVALID_SETTING before anything is started; PORT_IN_USE
 */
export async function runProxy(argv: readonly string[], env: Environment): Promise<number> {
  const read = await readProxySettings(argv, env);
  if ("help" in read) {
    process.stdout.write(read.help);
    return 0;
  }
  const { settings } = read;
  const log = createLog({
    level: settings.logLevel,
    format: settings.logFormat,
    part: "proxy",
    clock: systemClock,
    write: standardErrorWriter(),
  }).child({ pod: settings.podName, namespace: settings.podNamespace });
  using shutdown = listenForShutdown({
    deadlineMs: settings.drainTimeout + closingMs,
    source: process,
    exit: (code) => process.exit(code),
    clock: systemClock,
    log,
  });
  await serve(settings, log, shutdown.signal);
  return 0;
}

/** Starts every part in order; the stack ends them in reverse. Decides nothing. */
async function serve(settings: ProxySettings, log: Log, signal: AbortSignal): Promise<void> {
  const clock = systemClock;
  const random = Math.random;
  await using stack = new AsyncDisposableStack();
  const ended = new AbortController();
  stack.defer(() => ended.abort());

  const file = new SnapshotFile({
    stateDirectory: settings.stateDir,
    podUid: settings.podUid,
    files: durableFiles,
    log,
  });
  const [isFirst, stored, certificate] = await Promise.all([
    isFirstStart(settings.stateDir),
    loadSnapshot(file, log),
    ServingCertificate.load({ stateDirectory: settings.stateDir, files: durableFiles, clock, log }),
  ]);

  const reader = stack.use(
    new FloorReader({
      ...settings.upstream,
      tokenFile: settings.serviceAccountTokenFile,
      caFile: settings.upstreamCaFile,
    }),
  );
  const floorDeps = {
    read: reader.read,
    clock,
    log,
    random,
    signal: ended.signal,
    onKnown: () => intake.floorsChanged(),
  };
  const floors =
    isFirst && stored === undefined
      ? FloorTable.ofNewPod(floorDeps)
      : FloorTable.fromJSON(stored?.floors, floorDeps);
  const intake: SnapshotIntake = new SnapshotIntake({
    compile: compileSnapshot,
    dataPlane: { switchTo: (next, superseded) => dataPlane.switchTo(next, superseded) },
    floors,
    file,
    clock,
    log,
  });
  const restored = restore(intake, stored, log);
  const counters = createDataPlaneCounters();
  const relists = new Relists();
  const dataPlane = stack.use(
    new DataPlane({
      listen: { host: settings.listenHost, port: settings.apiserverPort },
      alsoListen: settings.alsoListen,
      upstream: {
        ...settings.upstream,
        servername: settings.upstream.host,
        ca: () => readFileSync(settings.upstreamCaFile, "utf8"),
      },
      certificate,
      snapshot: restored,
      floors,
      decide: relists.observing(decide),
      clock,
      log,
      counters,
      http2: settings.http2 === "auto",
      random,
    }),
  );
  stack.use(intake);
  const relay = stack.use(await startRelay(settings, { shard: () => intake.shard, clock, log, random }));
  const client = new ControlClient({
    managerAddress: settings.managerAddress,
    serverName: managerServerName(settings.managerNamespace),
    credentials: {
      caFile: settings.caFile,
      tokenFile: settings.controlTokenFile,
      podUid: settings.podUid,
    },
    version,
    intake,
    certificate,
    ...(relay === null ? {} : { onWebhookRoutes: (routes) => relay.take(routes) }),
    report: () =>
      reportOf({
        counters,
        requestsOnOlderView: dataPlane.requestsOnOlderView,
        relisted: relists.under(intake.inForce),
      }),
    clock,
    random,
    log,
  });

  const health = new Health();
  addReadyChecks(health, { dataPlane, certificate, intake, client, clock, signal });
  const metrics = createMetrics();
  registerProxyMetrics(metrics, { counters, client, intake, certificate });
  relay?.registerMetrics(metrics);
  dataPlane.open();
  const admin = { host: settings.adminHost, port: settings.adminPort, health, metrics };
  stack.use(await AdminServer.listen(admin));
  const running = client.run(ended.signal);
  stack.defer(async () => {
    ended.abort();
    await running;
  });

  const failure = await firstOf(dataPlane.failed, signal);
  if (failure !== undefined) throw failure;
  // The control stream stays until the last request is over: a fence may still come.
  await dataPlane.drain(AbortSignal.timeout(settings.drainTimeout));
  log.info("drained");
}

/** Loaded only where an operator has a webhook: it is memory in every other pod. Null, which a stack takes: none. */
async function startRelay(
  { webhook }: ProxySettings,
  deps: Pick<WebhookRelayDeps, "shard" | "clock" | "log" | "random">,
): Promise<WebhookRelay | null> {
  if (webhook === undefined) return null;
  const { WebhookRelay: Relay } = await import("./webhook-relay/relay.ts");
  return await Relay.start({ ...webhook, ...deps });
}

/** Damage on disk costs the time until the manager sends again, never the start. */
async function loadSnapshot(file: SnapshotFile, log: Log): Promise<StoredSnapshot | undefined> {
  try {
    return await file.load();
  } catch (error) {
    log.warn("the stored snapshot is not usable, waiting for the manager", { error });
    return undefined;
  }
}

function restore(intake: SnapshotIntake, stored: StoredSnapshot | undefined, log: Log) {
  if (stored === undefined) return undefined;
  try {
    const compiled = intake.restore(fromBinary(SnapshotSchema, stored.snapshot));
    const { id, shard } = compiled;
    log.info("stored snapshot in force", { shard, term: id.term, revision: id.revision });
    return compiled;
  } catch (error) {
    log.warn("the stored snapshot is not usable, waiting for the manager", { error: toCtrlmeshError(error) });
    return undefined;
  }
}

/** The failure, or undefined once the signal aborts. */
function firstOf(failed: Promise<CtrlmeshError>, signal: AbortSignal): Promise<CtrlmeshError | undefined> {
  if (signal.aborted) return Promise.resolve(undefined);
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(undefined), { once: true });
    void failed.then(resolve);
  });
}
