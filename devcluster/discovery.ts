import type { JsonObject } from "./json.ts";
import type { Registry } from "./registry.ts";
import { apiVersionOf, type ResourceDefinition } from "./resource.ts";

/** What the server serves, in the old form (one document per level) and the aggregated one. */

const addresses = (host: string): JsonObject[] => [{ clientCIDR: "0.0.0.0/0", serverAddress: host }];

/** `/api`. */
export function coreVersions(host: string): JsonObject {
  return { kind: "APIVersions", versions: ["v1"], serverAddressByClientCIDRs: addresses(host) };
}

/** `/apis`. */
export function groupList(registry: Registry): JsonObject {
  const groups = [...groupsOf(registry)]
    .filter(([group]) => group !== "")
    .map(([group, versions]) => groupOf(group, versions));
  return { kind: "APIGroupList", apiVersion: "v1", groups };
}

/** `/apis/<group>`; undefined when it is not served. */
export function singleGroup(registry: Registry, group: string): JsonObject | undefined {
  const versions = groupsOf(registry).get(group);
  return versions === undefined
    ? undefined
    : { kind: "APIGroup", apiVersion: "v1", ...groupOf(group, versions) };
}

/** `/api/v1` and `/apis/<group>/<version>`; undefined when it is not served. */
export function resourceList(registry: Registry, group: string, version: string): JsonObject | undefined {
  const definitions = groupsOf(registry).get(group)?.get(version);
  if (definitions === undefined) return undefined;
  const resources = definitions.flatMap((definition) => [
    {
      name: definition.resource,
      singularName: definition.singular,
      namespaced: definition.namespaced,
      kind: definition.kind,
      verbs: definition.verbs,
      ...(definition.shortNames.length === 0 ? {} : { shortNames: definition.shortNames }),
      ...(definition.categories.length === 0 ? {} : { categories: definition.categories }),
    },
    ...definition.subresources.map(({ name, verbs, kind }) => ({
      name: `${definition.resource}/${name}`,
      singularName: "",
      namespaced: definition.namespaced,
      ...(kind ?? { kind: definition.kind }),
      verbs,
    })),
  ]);
  return {
    kind: "APIResourceList",
    apiVersion: "v1",
    groupVersion: apiVersionOf({ group, version }),
    resources,
  };
}

/** APIGroupDiscoveryList v2 of `/api` (the core group) or `/apis` (all others). */
export function aggregated(registry: Registry, core: boolean): JsonObject {
  const items = [...groupsOf(registry)]
    .filter(([group]) => (group === "") === core)
    .map(([group, versions]) => ({
      metadata: group === "" ? {} : { name: group },
      versions: [...versions].map(([version, definitions]) => ({
        version,
        resources: definitions.map(aggregatedResource),
        freshness: "Current",
      })),
    }));
  return { kind: "APIGroupDiscoveryList", apiVersion: "apidiscovery.k8s.io/v2", metadata: {}, items };
}

function aggregatedResource(definition: ResourceDefinition): JsonObject {
  const { group, version, kind } = definition;
  const subresources = definition.subresources.map((each) => ({
    subresource: each.name,
    responseKind: each.kind ?? { group, version, kind },
    verbs: each.verbs,
  }));
  return {
    resource: definition.resource,
    responseKind: { group, version, kind },
    scope: definition.namespaced ? "Namespaced" : "Cluster",
    singularResource: definition.singular,
    verbs: definition.verbs,
    ...(definition.shortNames.length === 0 ? {} : { shortNames: definition.shortNames }),
    ...(definition.categories.length === 0 ? {} : { categories: definition.categories }),
    ...(subresources.length === 0 ? {} : { subresources }),
  };
}

function groupOf(group: string, versions: ReadonlyMap<string, readonly ResourceDefinition[]>): JsonObject {
  const list = [...versions.keys()].map((version) => ({
    groupVersion: apiVersionOf({ group, version }),
    version,
  }));
  return { name: group, versions: list, preferredVersion: list[0] };
}

function groupsOf(registry: Registry): Map<string, Map<string, ResourceDefinition[]>> {
  const groups = new Map<string, Map<string, ResourceDefinition[]>>();
  for (const definition of registry.all()) {
    const versions = groups.get(definition.group) ?? new Map<string, ResourceDefinition[]>();
    groups.set(definition.group, versions);
    const list = versions.get(definition.version) ?? [];
    versions.set(definition.version, list);
    list.push(definition);
  }
  return groups;
}
