import type { HashName } from "#api/bucket";
import { overlapsAndGaps } from "#api/coverage";
import { type Requirement, requirementsOf } from "#api/label-selector";
import { labels, type ShardLabels } from "#api/names";
import type { ShardingConfig } from "#api/sharding-config";
import { covers, patternsOf } from "./limits.ts";

export interface CoverageSettings {
  readonly shardLabels: ShardLabels;
  readonly hash: HashName;
}

/**
 * What the shards of one operator would own twice or not at all, one sentence per resource. Findings never
 * refuse: YAML of several shards is applied one after the other, and the ledger grants each atom once.
 */
export function coverageWarnings(
  config: ShardingConfig,
  all: readonly ShardingConfig[],
  settings: CoverageSettings,
): string[] {
  if (config.spec.root !== undefined) return [];
  const others = all.filter(
    (other) => other.metadata.name !== config.metadata.name && areSiblings(config, other),
  );
  if (others.length === 0) return [];
  const shards = [...others, config].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  const findings = new Map<string, string[]>();
  for (const { group, resource } of limitedResources(shards)) {
    const claimants = shards.map((shard) => ({
      shard: shard.metadata.name,
      selectors: [selectorFor(shard, { group, resource })],
    }));
    const { overlaps, gaps } = overlapsAndGaps(claimants, settings.shardLabels, settings.hash);
    const name = group === "" ? resource : `${resource}.${group}`;
    for (const sentence of sentencesOf(overlaps, gaps)) {
      findings.set(sentence, [...(findings.get(sentence) ?? []), name]);
    }
  }
  return [...findings].map(([sentence, resources]) => shortened(`${few(resources)}: ${sentence}`));
}

/** Shards of one operator: children of one root, one lock, or pods of one StatefulSet. */
export function areSiblings(left: ShardingConfig, right: ShardingConfig): boolean {
  if (left.metadata.namespace !== right.metadata.namespace) return false;
  if (left.spec.root !== undefined || right.spec.root !== undefined) return false;
  const roots = [left, right].map(({ metadata }) => metadata.labels?.[labels.autoShardingRoot]);
  if (roots[0] !== undefined && roots[0] === roots[1]) return true;
  const locks = [left, right].map(({ spec }) => spec.controller?.leaderElectionName);
  if (locks[0] !== undefined && locks[0] === locks[1]) return true;
  const workloads = workloadsOf(left);
  return [...workloadsOf(right)].some((workload) => workloads.has(workload));
}

function workloadsOf({ spec }: ShardingConfig): Set<string> {
  const names = requirementsOf(spec.selector)
    .filter(({ key, operator }) => key === labels.podName && operator === "In")
    .flatMap(({ values }) => values);
  return new Set(names.map((name) => name.replace(/-\d+$/, "")));
}

function limitedResources(shards: readonly ShardingConfig[]) {
  const found = new Map<string, { readonly group: string; readonly resource: string }>();
  for (const limit of shards.flatMap(({ spec }) => spec.limits ?? [])) {
    for (const { group, resource } of patternsOf(limit, "")) {
      if (isShared(limit, resource)) continue;
      found.set(`${group}/${resource}`, { group, resource });
    }
  }
  return found.values();
}

function isShared(
  { relateResources = [] }: NonNullable<ShardingConfig["spec"]["limits"]>[number],
  resource: string,
) {
  return relateResources.some(
    ({ access, resources = [] }) => access === "Shared" && resources.includes(resource),
  );
}

/** A resource that no limit names is seen whole. */
function selectorFor(
  { spec }: ShardingConfig,
  wanted: { readonly group: string; readonly resource: string },
): Requirement[] {
  const limit = (spec.limits ?? []).find((one) =>
    patternsOf(one, "").some((pattern) => covers(pattern, wanted)),
  );
  return requirementsOf(limit?.selector);
}

function sentencesOf(
  overlaps: ReturnType<typeof overlapsAndGaps>["overlaps"],
  gaps: readonly string[],
): string[] {
  const byShards = new Map<string, string[]>();
  for (const { atom, shards } of overlaps) {
    const key = shards.join(" and ");
    byShards.set(key, [...(byShards.get(key) ?? []), atom]);
  }
  return [
    ...[...byShards].map(
      ([shards, atoms]) => `${few(atoms)} claimed by ${shards}; each stays with one of them`,
    ),
    ...(gaps.length === 0 ? [] : [`${few(gaps)} belong to no shard, so nobody sees their objects`]),
  ];
}

function few(names: readonly string[]): string {
  return names.length <= 4
    ? names.join(", ")
    : `${names.slice(0, 3).join(", ")} and ${names.length - 3} more`;
}

/** The API server cuts warnings at 256 characters. */
function shortened(text: string): string {
  return text.length <= 250 ? text : `${text.slice(0, 249)}…`;
}
