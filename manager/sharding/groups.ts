import { createHash } from "node:crypto";
import { labels } from "#api/names";
import type { ShardingConfig } from "#api/sharding-config";

/** The shards of one operator (`ownership.md` section 1). */
export interface ShardGroup {
  /** Made from what the shards share, never from who they are: it stays when shards come and go. */
  readonly name: string;
  readonly namespace: string;
  /** Oldest first, then by name: of two shards that claim the same, the first one is granted. */
  readonly configs: readonly ShardingConfig[];
}

/**
 * Puts the ShardingConfigs of one namespace into groups. Together are the children of one root; else those that
 * share `controller.leaderElectionName`, or select pods of one workload by name, also by way of a third one.
 * Roots are no shards and stand in no group.
 */
export function groupConfigs(configs: readonly ShardingConfig[]): ShardGroup[] {
  const shards = configs.filter(({ spec }) => spec.root === undefined);
  const keysOf = new Map(shards.map((config) => [config, groupKeys(config)]));
  const representative = unite([...keysOf.values()]);
  const members = new Map<string, ShardingConfig[]>();
  for (const [config, keys] of keysOf) {
    const name = representative(keys[0] ?? "");
    members.set(name, [...(members.get(name) ?? []), config]);
  }
  return [...members]
    .map(([name, group]) => ({
      name,
      namespace: group[0]?.metadata.namespace ?? "",
      configs: group.sort(bySeniority),
    }))
    .sort((a, b) => compareText(a.name, b.name));
}

const objectNameLimit = 63;

/** Name of the group's ledger: the group's own where that is a DNS name, else made one with a digest. */
export function ledgerNameOf(group: string): string {
  if (group.length <= objectNameLimit && /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(group)) return group;
  const digest = createHash("sha256").update(group).digest("hex").slice(0, 16);
  const readable = group.slice(0, objectNameLimit - digest.length - 1).replaceAll(/[^a-z0-9]/g, "-");
  return `${readable}-${digest}`;
}

/** What ties a shard to others; the first one names the group when it is the smallest of all of them. */
function groupKeys(config: ShardingConfig): readonly string[] {
  const root = config.metadata.labels?.[labels.autoShardingRoot];
  // A root's children are a group by themselves, else a shard by hand beside them would rename it.
  if (root !== undefined && root !== "") return [`root.${root}`];
  const keys: string[] = [];
  const { controller, selector } = config.spec;
  if (controller !== undefined) {
    const { leaderElectionName, leaderElectionNamespace } = controller;
    keys.push(
      leaderElectionNamespace === undefined
        ? `leader.${leaderElectionName}`
        : `leader.${leaderElectionNamespace}.${leaderElectionName}`,
    );
  }
  const pods = [
    selector?.matchLabels?.[labels.podName] ?? "",
    ...(selector?.matchExpressions ?? [])
      .filter(({ key, operator }) => key === labels.podName && operator === "In")
      .flatMap(({ values = [] }) => values),
  ];
  for (const pod of pods) {
    const workload = /^(.+)-[0-9]+$/.exec(pod)?.[1];
    if (workload !== undefined) keys.push(`workload.${workload}`);
  }
  return keys.length > 0 ? keys : [`config.${config.metadata.name}`];
}

/** Union-find over keys. The smallest key of a set stands for it: leaders before workloads, then by name. */
function unite(keySets: readonly (readonly string[])[]): (key: string) => string {
  const parents = new Map<string, string>();
  const find = (key: string): string => {
    const parent = parents.get(key);
    return parent === undefined ? key : find(parent);
  };
  for (const [first = "", ...others] of keySets) {
    for (const other of others) {
      const [smaller, larger] = [find(first), find(other)].sort(compareText);
      if (smaller !== undefined && larger !== undefined && smaller !== larger) parents.set(larger, smaller);
    }
  }
  return find;
}

function bySeniority(a: ShardingConfig, b: ShardingConfig): number {
  const age = compareText(a.metadata.creationTimestamp ?? "", b.metadata.creationTimestamp ?? "");
  return age === 0 ? compareText(a.metadata.name, b.metadata.name) : age;
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
