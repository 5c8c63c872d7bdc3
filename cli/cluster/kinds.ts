import { group } from "#api/names";
import type { ResourceKind } from "#kube/client/client";

const core = (resource: string, namespaced: boolean): ResourceKind => ({
  group: "",
  version: "v1",
  resource,
  namespaced,
});
const ours = (resource: string, namespaced: boolean): ResourceKind => ({
  group,
  version: "v1alpha1",
  resource,
  namespaced,
});

/** What the commands read, apart from the kinds that are sharded. */
export const kinds = {
  namespaces: core("namespaces", false),
  pods: core("pods", true),
  configMaps: core("configmaps", true),
  secrets: core("secrets", true),
  leases: { group: "coordination.k8s.io", version: "v1", resource: "leases", namespaced: true },
  shardingConfigs: ours("shardingconfigs", true),
  ledgers: ours("ownershipledgers", true),
  managerStates: ours("managerstates", false),
} as const satisfies Record<string, ResourceKind>;

/** Label of the manager's pods, as the chart has it. */
export const managerPodSelector = "control-plane=ctrlmesh";
