import assert from "node:assert/strict";
import { test } from "node:test";
import { apiError, parseStatus } from "#kube/client/api-error";
import { MemoryApi } from "#kube/client/memory-api";
import { readInventory, shardsWithoutLedger } from "./inventory.ts";

const { signal } = new AbortController();

test("inventory: a cluster without our kinds is named as such, with what to do", async () => {
  const api = new MemoryApi();
  api.before = (_verb, kind) => {
    throw apiError(parseStatus(404, "404 page not found"), `GET /apis/${kind.group}/${kind.resource}`);
  };
  await assert.rejects(readInventory(api, undefined, { signal }), {
    code: "API_NOT_FOUND",
    message:
      "shardingconfigs.ctrlmesh.kusionstack.io: the API server has no such kind: ctrlmesh is not installed in this cluster; see what is missing with ctrlmesh check",
  });
});

test("inventory: namespaces that have a ledger only are there too, and what can't be read is told apart", async () => {
  const api = new MemoryApi();
  api.put("shardingconfigs", { metadata: { namespace: "b", name: "broken" }, spec: { limits: "none" } });
  api.put("ownershipledgers", { metadata: { namespace: "a", name: "left-over" }, spec: {} });
  api.put("pods", { metadata: { namespace: "a", name: "p", uid: "1" } });
  const [a, b, ...others] = await readInventory(api, undefined, { signal });
  assert.deepEqual([a?.namespace, b?.namespace, others], ["a", "b", []]);
  assert.deepEqual([...(b?.configs.unreadable.keys() ?? [])], ["broken"]);
  assert.equal(a?.ledgers[0] !== undefined && "corrupt" in a.ledgers[0], true);
  assert.deepEqual(
    a?.pods.map(({ name }) => name),
    ["p"],
  );
});

test("inventory: a ShardingConfig that stands in no ledger is told, whatever other ledgers there are", async () => {
  const api = new MemoryApi();
  const spec = (app: string) => ({
    selector: { matchLabels: { app } },
    limits: [
      {
        relateResources: [{ apiGroups: [""], resources: ["configmaps"] }],
        selector: { matchLabels: { "ctrlmesh.kusionstack.io/namespace": app } },
      },
    ],
  });
  for (const name of ["known", "unknown"])
    api.put("shardingconfigs", { metadata: { namespace: "a", name }, spec: spec(name) });
  const [before] = await readInventory(api, undefined, { signal });
  assert.ok(before);
  assert.deepEqual(shardsWithoutLedger(before), ["known", "unknown"]);
  const shard = { name: "known", epoch: 1, limits: [], holders: [] };
  const ledger = { name: "l", resourceVersion: "1", spec: { hash: "murmur3", shards: [shard], atoms: [] } };
  // Only the shards of a ledger are looked at.
  const stored = Object(ledger) as (typeof before.ledgers)[number];
  assert.deepEqual(shardsWithoutLedger({ ...before, ledgers: [stored] }), ["unknown"]);
});
