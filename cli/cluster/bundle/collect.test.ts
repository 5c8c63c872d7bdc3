import assert from "node:assert/strict";
import { test } from "node:test";
import { CtrlmeshError } from "#api/errors";
import type { KubeConnection } from "#kube/client/client";
import { MemoryApi, refusal } from "#kube/client/memory-api";
import { Progress } from "../../progress.ts";
import { collect } from "./collect.ts";

test("bundle: what can't be read, be it settings or pods, is noted, and all else is there", async () => {
  const api = new MemoryApi();
  api.documents.set("/version", { gitVersion: "v1.36.3" });
  api.put("managerstates", { metadata: { name: "ctrlmesh-manager" }, status: { term: "not a number" } });
  api.put("configmaps", { metadata: { namespace: "ctrlmesh", name: "ctrlmesh-ca" } });
  api.before = (verb, { resource }) => {
    if (verb === "list" && resource === "pods") throw refusal(403, "Forbidden", "no pods for you");
  };
  const session = {
    // Only calls of a client are made here, none of those that a connection has beside them.
    client: api as unknown as KubeConnection,
    signal: AbortSignal.timeout(10_000),
    progress: new Progress(() => undefined),
  };
  const options = { namespace: undefined, sinceSeconds: 60 };
  const files = await collect(options, session);
  const contentOf = (path: string) => files.find((file) => file.path === path)?.content ?? "";
  assert.match(contentOf("errors.txt"), /^settings\.json: INVALID_RESOURCE: /m);
  assert.match(contentOf("errors.txt"), /^pods with a proxy: API_FORBIDDEN: .*no pods for you/m);
  assert.match(contentOf("version.json"), /v1\.36\.3/);
  assert.match(contentOf("namespaces/ctrlmesh/configmaps.yaml"), /name: ctrlmesh-ca/);

  api.before = () => {
    throw new CtrlmeshError("API_UNREACHABLE", { what: "nobody is there" });
  };
  await assert.rejects(collect(options, session), /nobody is there/);
});
