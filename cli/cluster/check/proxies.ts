import type { ShardingConfig } from "#api/sharding-config";
import { skewBetween } from "../version-skew.ts";
import type { Check } from "./check.ts";
import type { Finding } from "./finding.ts";

/** Versions of the connected proxies beside the manager's. */
export const proxiesCheck: Check = {
  name: "proxies",
  phases: ["after"],
  run: async ({ inventory, settings }) => {
    const configs = inventory.flatMap((each) => each.configs.readable);
    const pods = configs.flatMap((config) => (config.status?.pods ?? []).map((pod) => ({ config, pod })));
    const versions = new Map<string, number>();
    for (const { pod } of pods) {
      if (pod.proxyVersion !== undefined)
        versions.set(pod.proxyVersion, (versions.get(pod.proxyVersion) ?? 0) + 1);
    }
    const connected = pods.filter(({ pod }) => pod.connected === true).length;
    const counts = [...versions].sort().map(([version, count]) => `${count} of version ${version}`);
    return {
      summary:
        counts.length === 0 ? "none has connected" : `${counts.join(", ")}; ${connected} connected now`,
      findings: pods.flatMap(({ config, pod }) => judgeProxy(config, pod, settings.version)),
    };
  },
};

type Pod = NonNullable<NonNullable<ShardingConfig["status"]>["pods"]>[number];

function judgeProxy(
  { metadata }: ShardingConfig,
  { name, proxyVersion }: Pod,
  managerVersion: string | undefined,
): Finding[] {
  if (proxyVersion === undefined || managerVersion === undefined) return [];
  const skew = skewBetween(proxyVersion, managerVersion);
  if (skew === undefined) return [];
  return [
    {
      level: "error",
      code: "VersionSkew",
      where: `Pod ${metadata.namespace}/${name}`,
      what: `its proxy is of version ${proxyVersion}, ${skew} the manager's ${managerVersion}`,
      remedy: `kubectl -n ${metadata.namespace} delete pod ${name}: the next one gets the manager's version`,
    },
  ];
}
