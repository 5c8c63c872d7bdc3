import { selecting } from "#manager/sharding/pod-classes";
import type { NamespaceInventory } from "../inventory.ts";
import type { Check } from "./check.ts";
import type { Finding } from "./finding.ts";

/** Pods that a ShardingConfig selects and that have no proxy: they see and change everything. */
export const podsCheck: Check = {
  name: "pods",
  phases: ["after"],
  run: async ({ inventory }) => {
    const pods = inventory.flatMap((each) => each.pods);
    const injected = pods.filter(({ isInjected }) => isInjected).length;
    return { summary: `${injected} pods with a proxy`, findings: inventory.flatMap(uninjected) };
  },
};

function uninjected({ namespace, pods, configs }: NamespaceInventory): Finding[] {
  return pods
    .filter((pod) => !pod.ended && !pod.terminated && (!pod.isInjected || pod.shard === ""))
    .flatMap((pod): Finding[] => {
      const shards = selecting(pod, configs).map(({ metadata }) => metadata.name);
      if (shards.length === 0) return [];
      return [
        {
          level: "error",
          code: "UninjectedPods",
          where: `Pod ${namespace}/${pod.name}`,
          what: `${shards.join(", ")} selects it and it has no proxy, so it acts on the objects of every shard, and nothing is granted`,
          remedy: `kubectl annotate namespace ${namespace} ctrlmesh.kusionstack.io/enable-proxy=true, then kubectl -n ${namespace} delete pod ${pod.name}`,
        },
      ];
    });
}
