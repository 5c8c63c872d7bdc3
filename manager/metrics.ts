import type { Gauge, Metrics } from "#runtime/metrics";
import type { Certificates } from "./certificates.ts";
import type { Proxies } from "./control/proxies.ts";
import type { ControlServer } from "./control/server.ts";

export interface ManagerFacts {
  readonly proxies: Proxies;
  readonly control: Pick<ControlServer, "refusals">;
  readonly leads: () => boolean;
  readonly certificates: Pick<Certificates, "soonestExpiryMs">;
}

/** What the leader sets itself. */
export interface LeaderMetrics {
  /** Labels: group and resource, of which there are as many as kinds are sharded. */
  readonly unlabelledObjects: Gauge;
  readonly unownedAtoms: Gauge;
}

/** Metrics of a replica, registered once; those about proxies are zero on one that does not lead. */
export function registerManagerMetrics(
  metrics: Metrics,
  { proxies, control, leads, certificates }: ManagerFacts,
): LeaderMetrics {
  metrics.gauge({
    name: "ctrlmesh_manager_leading",
    help: "1 on the replica that leads.",
    read: () => (leads() ? 1 : 0),
  });
  metrics.gauge({
    name: "ctrlmesh_manager_certificate_expiry_seconds",
    help: "End of the certificate in use that ends first (mesh CA, control stream, webhooks), since the epoch.",
    read: () => Math.floor(certificates.soonestExpiryMs / 1000),
  });
  metrics.gauge({
    name: "ctrlmesh_manager_connected_proxies",
    help: "Proxies with an open control stream to this replica.",
    read: () => proxies.size,
  });
  const counts = [
    ["snapshots", "Snapshots sent to proxies."],
    ["acks", "Snapshots that a proxy acknowledged."],
    ["nacks", "Snapshots that a proxy refused."],
  ] as const;
  for (const [what, help] of counts) {
    metrics.readCounter({
      name: `ctrlmesh_manager_${what}_total`,
      help,
      read: () => [[[], proxies.counters[what]]],
    });
  }
  metrics.readCounter({
    name: "ctrlmesh_manager_control_streams_refused_total",
    help: "Control streams that ended with an error, by its code.",
    labels: ["code"],
    read: () => [...control.refusals].map(([code, count]) => [[code], count] as const),
  });
  return {
    unlabelledObjects: metrics.gauge({
      name: "ctrlmesh_manager_unlabelled_objects",
      help: "Objects that lack their shard labels, by kind, as the leader last saw it.",
      labels: ["group", "resource"],
    }),
    unownedAtoms: metrics.gauge({
      name: "ctrlmesh_manager_unowned_atoms",
      help: "Buckets and namespaces of groups that no shard holds, as the leader last saw it; 0 on the others.",
    }),
  };
}
