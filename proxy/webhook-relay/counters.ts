import type { Metrics } from "#runtime/metrics";
import type { LocalReason } from "./routes.ts";

/** What became of one request of the API server. */
export type RelayOutcome =
  | LocalReason
  /** Answered by a pod of the shard that has the namespace. */
  | "forwarded"
  /** Refused with 503: that shard has no ready pod. */
  | "no_pod"
  /** Refused with 503: none of its pods that were asked answered. */
  | "unreachable"
  /** Refused with 502: this pod's operator did not answer. */
  | "operator_failed"
  /** Refused with 413 or 503: larger than a review can be, or too many at a time. */
  | "too_large"
  | "overloaded";

/** Plain numbers, raised in place. */
export interface RelayCounters {
  readonly outcomes: Map<RelayOutcome, number>;
  /** Reviews of other pods that this pod's operator was asked to answer. */
  received: number;
  /** Attempts at a pod that failed before it answered. */
  failedAttempts: number;
  /** Connections of other pods that had not the group's key. */
  strangers: number;
}

export function createRelayCounters(): RelayCounters {
  return { outcomes: new Map(), received: 0, failedAttempts: 0, strangers: 0 };
}

export function registerRelayMetrics(metrics: Metrics, counters: RelayCounters): void {
  metrics.readCounter({
    name: "ctrlmesh_proxy_webhook_requests_total",
    help: "Requests to the operator's webhook by what became of them: answered here and why, forwarded, or refused.",
    labels: ["outcome"],
    read: function* () {
      for (const [outcome, count] of counters.outcomes) yield [[outcome], count];
    },
  });
  metrics.readCounter({
    name: "ctrlmesh_proxy_webhook_received_total",
    help: "Reviews that other pods of the group forwarded to this one.",
    read: () => [[[], counters.received]],
  });
  metrics.readCounter({
    name: "ctrlmesh_proxy_webhook_failed_attempts_total",
    help: "Attempts to forward a review to a pod that failed before it answered.",
    read: () => [[[], counters.failedAttempts]],
  });
  metrics.readCounter({
    name: "ctrlmesh_proxy_webhook_strangers_total",
    help: "Connections to the port between pods that did not prove to belong to the group.",
    read: () => [[[], counters.strangers]],
  });
}
