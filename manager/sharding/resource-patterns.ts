import type { ServedResource } from "./discovery.ts";
import { kindName } from "./stamp.ts";

/** Resources of a limit; "*" is every group, every resource, each on its own. Empty lists match nothing. */
export interface ResourcePattern {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
}

export interface GroupResource {
  readonly group: string;
  readonly resource: string;
}

/**
 * Kinds that no limit ever filters: Leases are locks that renaming takes care of, Events are written by all
 * and carry no shard labels in time. Filtering them would blind leader election and `kubectl describe`.
 */
const neverFiltered: readonly GroupResource[] = [
  { group: "coordination.k8s.io", resource: "leases" },
  { group: "", resource: "events" },
  { group: "events.k8s.io", resource: "events" },
];

export function isNeverFiltered({ group, resource }: GroupResource): boolean {
  return neverFiltered.some((each) => each.group === group && each.resource === resource);
}

/** Whether every object of it can carry the labels of a namespace and be listed and watched by them. */
export function isLabelable(served: ServedResource): boolean {
  const { namespaced, verbs } = served;
  return (
    namespaced && verbs.has("list") && verbs.has("watch") && verbs.has("patch") && !isNeverFiltered(served)
  );
}

/** Their controllers copy all labels of the Service and would undo ours at each sync. */
const followServices = new Set(["endpoints", "endpointslices.discovery.k8s.io"]);

/** The kinds and those that must be labelled together with them: Services with Endpoints and EndpointSlices. */
export function withCompanions(
  kinds: readonly ServedResource[],
  served: readonly ServedResource[],
): readonly ServedResource[] {
  if (!kinds.some((kind) => followServices.has(kindName(kind)))) return kinds;
  return [...kinds, ...served.filter((each) => kindName(each) === "services")];
}

export function matches(pattern: ResourcePattern, { group, resource }: GroupResource): boolean {
  return has(pattern.apiGroups, group) && has(pattern.resources, resource);
}

/**
 * Kinds that the patterns filter, one version each (the first that is served): labelable ones that match, and
 * of the others only those named without a wildcard in the resource, since somebody meant exactly them.
 */
export function filteredKinds(
  patterns: readonly ResourcePattern[],
  served: readonly ServedResource[],
): readonly ServedResource[] {
  return onePerResource(served).filter(
    (each) =>
      !isNeverFiltered(each) &&
      patterns.some((pattern) => matches(pattern, each) && (isLabelable(each) || isNamed(pattern, each))),
  );
}

/** What matches a wildcard and passes unfiltered all the same, and what always passes; sorted, no doubles. */
export function unfilteredKinds(
  patterns: readonly ResourcePattern[],
  served: readonly ServedResource[],
): readonly GroupResource[] {
  const filtered = filteredKinds(patterns, served);
  const passing = onePerResource(served).filter(
    (each) => patterns.some((pattern) => matches(pattern, each)) && !filtered.includes(each),
  );
  const all = [...neverFiltered, ...passing.filter((each) => !isNeverFiltered(each))];
  return all
    .map(({ group, resource }) => ({ group, resource }))
    .sort((a, b) => compare(a.group, b.group) || compare(a.resource, b.resource));
}

/** Names without a wildcard that no served resource has: a typing error, or a CRD that is still to come. */
export function unservedNames(
  patterns: readonly ResourcePattern[],
  served: readonly ServedResource[],
): readonly GroupResource[] {
  const names = patterns.flatMap(({ apiGroups, resources }) =>
    apiGroups.flatMap((group) => resources.map((resource) => ({ group, resource }))),
  );
  return names.filter(
    ({ group, resource }) =>
      resource !== "*" &&
      !served.some((each) => each.resource === resource && (group === "*" || each.group === group)),
  );
}

function onePerResource(served: readonly ServedResource[]): ServedResource[] {
  const first = new Map<string, ServedResource>();
  for (const each of served) {
    const key = `${each.group}/${each.resource}`;
    if (!first.has(key)) first.set(key, each);
  }
  return [...first.values()];
}

function isNamed(pattern: ResourcePattern, { group, resource }: GroupResource): boolean {
  return pattern.apiGroups.includes(group) && pattern.resources.includes(resource);
}

function has(names: readonly string[], name: string): boolean {
  return names.includes("*") || names.includes(name);
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
