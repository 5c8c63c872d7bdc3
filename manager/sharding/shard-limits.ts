import { otherRequirements, type Selector } from "#api/coverage";
import { parseSelector, printSelector, requirementsOf } from "#api/label-selector";
import type { ShardLabels } from "#api/names";
import type { LedgerLimit, LedgerShard } from "#api/ownership-ledger";
import type { ShardingConfig } from "#api/sharding-config";
import { everything } from "../snapshot/view.ts";
import type { GroupResource, ResourcePattern } from "./resource-patterns.ts";
import type { ResourceCatalog } from "./resources.ts";

/** What a shard's pods may see, as it stands in the ledger. */
export type ShardView = Pick<LedgerShard, "limits" | "unfilteredResources">;

export type CatalogView = Pick<ResourceCatalog, "resolve" | "unfilteredFor">;

/**
 * The view that a ShardingConfig asks for. Each entry of `relateResources` is one limit; `access: Shared` makes
 * none and lets its resources pass.
 */
export function viewOf(config: ShardingConfig, labels: ShardLabels, catalog: CatalogView): ShardView {
  const limits: LedgerLimit[] = [];
  const shared: ResourcePattern[] = [];
  for (const { relateResources = [], selector } of config.spec.limits ?? []) {
    const requirements = requirementsOf(selector, "spec.limits.selector");
    const text = printSelector(requirements.length === 0 ? everything(labels) : requirements);
    for (const { apiGroups, resources, access } of relateResources.length === 0
      ? [anyResource]
      : relateResources) {
      const pattern = {
        apiGroups: patternsOf(apiGroups),
        resources: patternsOf(withoutSubresources(resources)),
      };
      // Only subresources were named: they cannot be listed, so there is nothing to limit.
      if (pattern.resources.length === 0) continue;
      if (access === "Shared") shared.push(pattern);
      else limits.push({ groups: pattern.apiGroups, resources: pattern.resources, selector: text });
    }
  }
  const passing = [
    ...catalog.unfilteredFor(limits.map(patternOf)),
    ...shared.flatMap((pattern) => [...namesOf(pattern), ...catalog.resolve([pattern])]),
  ];
  return { limits, unfilteredResources: sortedResources(passing) };
}

const anyResource = { apiGroups: undefined, resources: undefined, access: "Owned" } as const;

/** None named is all; "*" among others is a literal that matches nothing (`spec/ctrlmesh.md` 1.1). */
function patternsOf(names: readonly string[] | undefined): readonly string[] {
  if (names === undefined || (names.length === 1 && names[0] === "*")) return ["*"];
  return [...new Set(names.filter((name) => name !== "*"))];
}

function withoutSubresources(resources: readonly string[] | undefined): readonly string[] | undefined {
  if (resources === undefined || resources.length === 0) return undefined;
  return resources.filter((resource) => !resource.includes("/"));
}

export function patternOf({ groups, resources }: LedgerLimit): ResourcePattern {
  return { apiGroups: groups, resources };
}

/** Shared resources count although nothing serves them yet, as far as they are named. */
function namesOf({ apiGroups, resources }: ResourcePattern): GroupResource[] {
  if (apiGroups.includes("*") || resources.includes("*")) return [];
  return apiGroups.flatMap((group) => resources.map((resource) => ({ group, resource })));
}

function sortedResources(resources: readonly GroupResource[]): GroupResource[] {
  const byName = new Map(
    resources.map(({ group, resource }) => [resourceName({ group, resource }), { group, resource }]),
  );
  return [...byName].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, each]) => each);
}

/** "configmaps", "deployments.apps". */
export function resourceName({ group, resource }: GroupResource): string {
  return group === "" ? resource : `${resource}.${group}`;
}

export function selectorsOf(limits: readonly LedgerLimit[]): Selector[] {
  return limits.map(({ selector }) => parseSelector(selector));
}

/** Requirements that no ownership can be judged by: on other labels than the shard's own three. */
export function foreignRequirements(limits: readonly LedgerLimit[], labels: ShardLabels): Selector {
  return selectorsOf(limits).flatMap((selector) =>
    otherRequirements(selector, labels).filter(({ key }) => key !== labels.control),
  );
}
