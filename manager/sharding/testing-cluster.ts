import { defaultExemptNamespaces, defaultShardLabels } from "#api/names";
import { MemoryApi } from "#kube/client/memory-api";
import type { ServedResource } from "./discovery.ts";

/** What the labelling tests share: settings, kinds, and a server that serves them by discovery. */
export const testSettings = {
  shardLabels: defaultShardLabels,
  hash: "murmur3",
  exemptNamespaces: defaultExemptNamespaces,
} as const;

export const testKind = (resource: string, kind: string, group = ""): ServedResource => ({
  group,
  version: "v1",
  resource,
  kind,
  namespaced: true,
  verbs: new Set(["get", "list", "watch", "patch", "create", "update", "delete"]),
  hasStatus: false,
});

const verbs = ["get", "list", "watch", "patch", "create", "update", "delete"];

/** Serves a group version in the form of servers without aggregated discovery. */
export function serve(api: MemoryApi, group: string, kinds: Readonly<Record<string, string>>): void {
  const resources = Object.entries(kinds).map(([name, kind]) => ({ name, kind, namespaced: true, verbs }));
  api.documents.set(group === "" ? "/api/v1" : `/apis/${group}/v1`, { resources });
}

/** A server with ConfigMaps and Secrets, and whatever groups are added. */
export function testCluster(groups: readonly string[] = []): MemoryApi {
  const api = new MemoryApi();
  api.documents.set("/api", { kind: "APIVersions", versions: ["v1"] });
  api.documents.set("/apis", {
    kind: "APIGroupList",
    groups: groups.map((name) => ({
      name,
      versions: [{ version: "v1" }],
      preferredVersion: { version: "v1" },
    })),
  });
  serve(api, "", { configmaps: "ConfigMap", secrets: "Secret" });
  return api;
}
