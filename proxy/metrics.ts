import type { Metrics } from "#runtime/metrics";
import type { DataPlaneCounters } from "./apiserver/counters.ts";
import type { ServingCertificate } from "./certificate.ts";
import type { SnapshotIntake } from "./control/snapshot-intake.ts";
import type { ControlClient } from "./control-client.ts";

interface MetricsSources {
  readonly counters: DataPlaneCounters;
  readonly client: ControlClient;
  readonly intake: SnapshotIntake;
  readonly certificate: ServingCertificate;
}

/** Names the proxy's metrics. Everything is counted in plain numbers elsewhere and read when somebody asks. */
export function registerProxyMetrics(metrics: Metrics, sources: MetricsSources): void {
  registerRequests(metrics, sources.counters);
  registerControl(metrics, sources);
}

function registerRequests(metrics: Metrics, counters: DataPlaneCounters): void {
  metrics.readCounter({
    name: "ctrlmesh_proxy_requests_total",
    help: "Requests of the operator by verb and by what became of them; filtered ones carry the shard's selector.",
    labels: ["verb", "outcome"],
    read: function* () {
      for (const [verb, outcomes] of Object.entries(counters.requests)) {
        for (const [outcome, count] of Object.entries(outcomes)) yield [[verb, outcome], count];
      }
    },
  });
  metrics.readCounter({
    name: "ctrlmesh_proxy_responses_total",
    help: "Answers of the API server by the first digit of their status.",
    labels: ["class"],
    read: () => Object.entries(counters.responses).map(([digit, count]) => [[`${digit}xx`], count]),
  });
  metrics.readCounter({
    name: "ctrlmesh_proxy_refusals_total",
    help: "Requests that the proxy answered itself, by error code.",
    labels: ["code"],
    read: () => [...counters.refusals].map(([code, count]) => [[code], count]),
  });
  const plain = (name: string, help: string, read: () => number) =>
    metrics.readCounter({ name: `ctrlmesh_proxy_${name}`, help, read: () => [[[], read()]] });
  plain("connections_total", "Connections of the operator.", () => counters.connectionsAccepted);
  plain(
    "handshake_failures_total",
    "Clients that failed the TLS handshake.",
    () => counters.handshakeFailures,
  );
  plain(
    "watches_expired_total",
    "Watches ended by a 410 since their view changed.",
    () => counters.watchesExpired,
  );
  plain(
    "requests_cut_total",
    "Requests whose connection was cut by a switch or drain.",
    () => counters.requestsDestroyed,
  );
  const gauge = (name: string, help: string, read: () => number) =>
    metrics.gauge({ name: `ctrlmesh_proxy_${name}`, help, read });
  gauge("connections_open", "Connections of the operator that are open.", () => counters.connectionsOpen);
  gauge("tunnels_open", "Upgraded connections that are open.", () => counters.tunnelsOpen);
}

function registerControl(metrics: Metrics, { client, intake, certificate }: MetricsSources): void {
  const gauge = (name: string, help: string, read: () => number) =>
    metrics.gauge({ name: `ctrlmesh_proxy_${name}`, help, read });
  gauge("control_stream_open", "1 while the stream to the manager is open.", () =>
    Number(client.connectedTo !== undefined),
  );
  gauge("snapshot_term", "Leadership term of the snapshot in force; 0 without one.", () =>
    Number(intake.inForce?.id.term ?? 0),
  );
  gauge("snapshot_revision", "Revision of the snapshot in force; 0 without one.", () =>
    Number(intake.inForce?.id.revision ?? 0),
  );
  gauge("snapshot_granted", "1 when the snapshot in force grants.", () =>
    Number(intake.inForce?.granted ?? false),
  );
  gauge("snapshot_stored", "1 when the snapshot in force outlives a restart.", () => Number(intake.isStored));
  gauge("certificate_expiry_seconds", "End of the serving certificate, seconds since the epoch.", () =>
    Math.floor((certificate.notAfterMs ?? 0) / 1000),
  );
  gauge("resident_memory_bytes", "Resident memory of the process.", () => process.memoryUsage.rss());
  metrics.readCounter({
    name: "ctrlmesh_proxy_control_events_total",
    help: "Dials, redirects, acks and nacks of the control stream.",
    labels: ["event"],
    read: () => Object.entries(client.counters).map(([event, count]) => [[event], count]),
  });
}
