import { CtrlmeshError } from "#api/errors";
import type { GroupVersionResource } from "#api/meta";
import { isRecord } from "#kube/client/api-error";
import type { CallOptions, KubeClient } from "#kube/client/client";

/** A resource that the API server serves, in one version of its group. */
export interface ServedResource extends GroupVersionResource {
  readonly kind: string;
  readonly namespaced: boolean;
  readonly verbs: ReadonlySet<string>;
  readonly hasStatus: boolean;
}

export interface Discovery {
  /** Versions of a group in the server's order of preference. */
  readonly resources: readonly ServedResource[];
  /** `<group>/<version>` whose server did not answer: what they serve is unknown, not nothing. */
  readonly unknown: readonly string[];
}

const aggregated =
  "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

/**
 * What the API server serves now. Two requests where it has aggregated discovery (KEP-3352, 1.26), else one per
 * group version.
 *
 * @throws MALFORMED_RESPONSE and what `KubeClient.raw` throws
 */
export async function discover(client: KubeClient, call: CallOptions): Promise<Discovery> {
  const [core, groups] = await Promise.all([
    client.raw("GET", "/api", undefined, { ...call, accept: aggregated }),
    client.raw("GET", "/apis", undefined, { ...call, accept: aggregated }),
  ]);
  if (kindOf(core) === "APIGroupDiscoveryList" && kindOf(groups) === "APIGroupDiscoveryList") {
    return joined([fromAggregated(core), fromAggregated(groups)]);
  }
  const versions = [
    ...texts(member(core, "versions")).map((version) => ({ group: "", version })),
    ...groupVersions(groups),
  ];
  return joined(await Promise.all(versions.map((each) => fromVersion(client, each, call))));
}

function fromAggregated(list: unknown): Discovery {
  const resources: ServedResource[] = [];
  const unknown: string[] = [];
  for (const group of records(member(list, "items"))) {
    const name = text(member(group.metadata, "name")) ?? "";
    for (const version of records(group.versions)) {
      const versionName = text(version.version);
      if (versionName === undefined) continue;
      if (version.freshness === "Stale") unknown.push(`${name}/${versionName}`);
      for (const resource of records(version.resources)) {
        const served = fromAggregatedResource(resource, name, versionName);
        if (served !== undefined) resources.push(served);
      }
    }
  }
  return { resources, unknown };
}

function fromAggregatedResource(
  resource: Record<string, unknown>,
  group: string,
  version: string,
): ServedResource | undefined {
  const name = text(resource.resource);
  const kind = text(member(resource.responseKind, "kind"));
  if (name === undefined || kind === undefined) return undefined;
  return {
    group,
    version,
    resource: name,
    kind,
    namespaced: resource.scope === "Namespaced",
    verbs: new Set(texts(resource.verbs)),
    hasStatus: records(resource.subresources).some((each) => each.subresource === "status"),
  };
}

async function fromVersion(
  client: KubeClient,
  { group, version }: { readonly group: string; readonly version: string },
  call: CallOptions,
): Promise<Discovery> {
  try {
    return { resources: await discoverVersion(client, { group, version }, call), unknown: [] };
  } catch {
    call.signal.throwIfAborted();
    // One aggregated API server that is down must not hide all other kinds.
    return { resources: [], unknown: [`${group}/${version}`] };
  }
}

/**
 * What one group version serves.
 *
 * @throws API_NOT_FOUND when the server does not know it
 */
export async function discoverVersion(
  client: KubeClient,
  { group, version }: { readonly group: string; readonly version: string },
  call: CallOptions,
): Promise<readonly ServedResource[]> {
  const path = group === "" ? `/api/${version}` : `/apis/${group}/${version}`;
  const all = records(member(await client.raw("GET", path, undefined, call), "resources"));
  const withStatus = new Set(texts(all.map((each) => each.name)).filter((name) => name.endsWith("/status")));
  return all.flatMap((each): ServedResource[] => {
    const resource = text(each.name);
    const kind = text(each.kind);
    if (resource === undefined || kind === undefined || resource.includes("/")) return [];
    const hasStatus = withStatus.has(`${resource}/status`);
    const verbs = new Set(texts(each.verbs));
    return [{ group, version, resource, kind, namespaced: each.namespaced === true, verbs, hasStatus }];
  });
}

/** Preferred version first. */
function groupVersions(groups: unknown): { group: string; version: string }[] {
  return records(member(groups, "groups")).flatMap((each) => {
    const group = text(each.name) ?? "";
    const preferred = text(member(each.preferredVersion, "version"));
    const versions = records(each.versions).flatMap((v) => text(v.version) ?? []);
    const ordered =
      preferred === undefined ? versions : [preferred, ...versions.filter((v) => v !== preferred)];
    return ordered.map((version) => ({ group, version }));
  });
}

function joined(parts: readonly Discovery[]): Discovery {
  const resources = parts.flatMap((part) => part.resources);
  if (resources.length === 0) {
    // Every server has namespaces; believing this answer would stop all labelling.
    throw new CtrlmeshError("MALFORMED_RESPONSE", { what: "discovery names no resource", where: "/apis" });
  }
  return { resources, unknown: parts.flatMap((part) => part.unknown) };
}

function kindOf(value: unknown): string | undefined {
  return text(member(value, "kind"));
}

function member(value: unknown, name: string): unknown {
  return isRecord(value) ? value[name] : undefined;
}

function records(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((each) => typeof each === "string") : [];
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}
