import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultShardLabels } from "#api/names";
import type { KubeConnection } from "#kube/client/client";
import { MemoryApi } from "#kube/client/memory-api";
import { namespaceLabels } from "#webhook/stamp";
import { Progress } from "../../progress.ts";
import type { ClusterSession } from "../connection.ts";
import { stripLabels } from "./strip-labels.ts";

const settings = {
  namespace: "ctrlmesh",
  version: undefined,
  state: undefined,
  shardLabels: defaultShardLabels,
  hash: "murmur3",
  exemptNamespaces: [],
} as const;

test("uninstall: labels that a policy brings back while API servers still know it are taken off again", async () => {
  const api = new MemoryApi();
  const verbs = ["list", "watch", "patch"];
  const configMaps = { name: "configmaps", kind: "ConfigMap", namespaced: true, verbs };
  api.documents.set("/api", { versions: ["v1"] });
  api.documents.set("/apis", { groups: [] });
  api.documents.set("/api/v1", { resources: [configMaps] });
  const labelled = () => ({
    metadata: { namespace: "demo", name: "one", labels: namespaceLabels("demo", settings) },
  });
  api.put("configmaps", labelled());
  let lists = 0;
  api.before = (verb, { resource }) => {
    // The stamp of the first patch is seen by the list that follows.
    if (verb === "list" && resource === "configmaps" && ++lists === 2) api.put("configmaps", labelled());
  };
  const session: ClusterSession = {
    // Only calls of a client are made here, none of those that a connection has beside them.
    client: api as unknown as KubeConnection,
    signal: AbortSignal.timeout(10_000),
    progress: new Progress(() => undefined),
  };
  assert.equal(await stripLabels(settings, session), 2);
  assert.deepEqual(api.peek("configmaps", "one", "demo")?.metadata?.labels ?? {}, {});
});
