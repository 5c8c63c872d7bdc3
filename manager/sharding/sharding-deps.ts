import type { HashName } from "#api/bucket";
import type { ShardLabels } from "#api/names";
import type { Informer, KubeClient } from "#kube/client/client";
import type { EventRecorder } from "#kube/client/events";
import type { ReflectorDeps } from "#kube/client/reflector";
import type { Gauge } from "#runtime/metrics";
import type { Proxies } from "../control/proxies.ts";
import type { LeadershipTerm } from "../manager-state.ts";
import type { LabelCoverage } from "./healing.ts";
import type { ResourceCatalog } from "./resources.ts";

/** What the sharding of a leadership needs. */
export interface ShardingDeps extends ReflectorDeps {
  readonly client: KubeClient;
  readonly proxies: Proxies;
  /** ShardingConfigs of all namespaces. */
  readonly configs: Informer;
  readonly catalog: Pick<ResourceCatalog, "resolve" | "unfilteredFor" | "onChange">;
  readonly coverage: LabelCoverage;
  readonly events: Pick<EventRecorder, "record">;
  readonly labels: ShardLabels;
  readonly hash: HashName;
  /** Secret of a group, 32 bytes, the same for every leader. */
  readonly relayKey: (namespace: string, ledger: string) => Uint8Array;
  readonly exemptNamespaces: readonly string[];
  readonly term: Pick<LeadershipTerm, "current" | "raise">;
  /** Told after each round how many atoms nobody owns. */
  readonly unowned: Pick<Gauge, "set">;
}
