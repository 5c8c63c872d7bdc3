import assert from "node:assert/strict";
import { test } from "node:test";
import { atomName, atomsOf } from "#api/coverage";
import { CtrlmeshError } from "#api/errors";
import type { KubernetesObject } from "#api/meta";
import { defaultShardLabels } from "#api/names";
import type { LedgerShard } from "#api/ownership-ledger";
import type { KubeConnection, ListQuery } from "#kube/client/client";
import { MemoryApi } from "#kube/client/memory-api";
import { namespaceLabels } from "#webhook/stamp";
import { Progress } from "../progress.ts";
import type { ClusterSession } from "./connection.ts";
import { servedKindsOf } from "./served-kinds.ts";
import { type LedgerPlace, tallyKinds, uncountedVersions } from "./verify-kinds.ts";

const settings = {
  namespace: "ctrlmesh",
  version: "0.1.0",
  state: undefined,
  shardLabels: defaultShardLabels,
  hash: "murmur3",
  exemptNamespaces: ["kube-system"],
} as const;

const verbs = new Set(["list", "watch", "patch"]);
const served = servedKindsOf([
  {
    group: "",
    version: "v1",
    resource: "configmaps",
    kind: "ConfigMap",
    namespaced: true,
    hasStatus: false,
    verbs,
  },
]);

function shard(name: string, resources: readonly string[], values: readonly string[]): LedgerShard {
  const selector = `${defaultShardLabels.namespace} in (${values.join(",")})`;
  return {
    name,
    onLoss: "Restart",
    settleSeconds: 30,
    limits: [{ groups: [""], resources: [...resources], selector }],
    unfilteredResources: [],
    holders: [],
  };
}

/** Each shard holds the namespaces that it is given. */
function ledger(shards: readonly LedgerShard[], held: Readonly<Record<string, string>>): LedgerPlace {
  const key = defaultShardLabels.namespace;
  const named = atomsOf(
    [[{ key, operator: "In", values: Object.keys(held) }]],
    defaultShardLabels,
    "murmur3",
  );
  const atoms = named.map((atom) => {
    const owner = atom.kind === "namespace" ? (held[atom.namespace] ?? "") : "";
    const state = owner === "" ? ("Free" as const) : ("Held" as const);
    return { atom: atomName(atom), shard: owner, state, epoch: 1 };
  });
  const spec = { group: "g", hash: "murmur3" as const, term: 1, epoch: 1, atoms, shards: [...shards] };
  return { namespace: "ops", name: "g", spec };
}

const configMap = (namespace: string, name: string): KubernetesObject => ({
  metadata: { namespace, name, labels: namespaceLabels(namespace, settings) },
});

/** Serves a list page by page, made when it is asked for; an expired token as often as told. */
class PagedApi extends MemoryApi {
  expirations = 0;
  pages = 0;
  readonly #objects: number;

  constructor(objects: number) {
    super();
    this.#objects = objects;
  }

  override async list(_kind: unknown, { limit = 0, continueToken = "0" }: ListQuery) {
    this.pages++;
    const from = Number(continueToken);
    if (from > 0 && this.expirations > 0) {
      this.expirations--;
      throw new CtrlmeshError("API_EXPIRED", { what: "the token is too old" });
    }
    const to = Math.min(from + limit, this.#objects);
    const items = Array.from({ length: to - from }, (_, index) =>
      configMap((from + index) % 2 === 0 ? "team-a" : "team-b", `object-${from + index}`),
    );
    const next = to < this.#objects ? String(to) : undefined;
    return { items, resourceVersion: "1", continueToken: next, remainingItemCount: undefined };
  }
}

function session(api: MemoryApi): ClusterSession {
  // The calls of a connection beside those of a client are not made here.
  return {
    client: api as unknown as KubeConnection,
    signal: new AbortController().signal,
    progress: new Progress(() => undefined),
  };
}

const two = [shard("left", ["configmaps"], ["team-a"]), shard("right", ["configmaps"], ["team-b"])];
const held = { "team-a": "left", "team-b": "right" };

test("verify: 100,000 objects, by pages, and begun anew when a token has expired", async () => {
  const api = new PagedApi(100_000);
  api.expirations = 2;
  const [tally] = await tallyKinds([ledger(two, held)], settings, served, session(api));
  assert.deepEqual(
    { objects: tally?.objects, byShard: tally?.byShard, unowned: tally?.unowned, shared: tally?.shared },
    {
      objects: 100_000,
      byShard: { left: 50_000, right: 50_000 },
      unowned: { count: 0, examples: [] },
      shared: { count: 0, examples: [] },
    },
  );
  // Two pages of each attempt that broke off, then all.
  assert.equal(api.pages, 2 * 2 + 200);
});

test("verify: a shard that does not limit the kind sees all of it, so two see what one owns", async () => {
  const api = new MemoryApi();
  api.put("configmaps", configMap("team-a", "one"));
  api.put("configmaps", configMap("team-b", "two"));
  const open = [two[0] ?? assert.fail(), shard("right", ["secrets"], ["team-b"])];
  const [tally] = await tallyKinds([ledger(open, held)], settings, served, session(api));
  assert.deepEqual(tally?.shared, { count: 1, examples: ["team-a/one"] });
});

test("verify: what nobody was granted has no owner, exempt objects count apart, wrong labels are named", async () => {
  const api = new MemoryApi();
  api.put("configmaps", configMap("team-a", "one"));
  api.put("configmaps", configMap("team-b", "two"));
  api.put("configmaps", configMap("kube-system", "root"));
  api.put("configmaps", configMap("ops", "own"));
  api.put("configmaps", { metadata: { namespace: "team-a", name: "bare" } });
  api.put("configmaps", {
    metadata: { ...configMap("team-b", "x").metadata, namespace: "team-a", name: "copy" },
  });
  const [tally] = await tallyKinds([ledger(two, { "team-a": "left" })], settings, served, session(api));
  assert.equal(tally?.unowned.count, 3);
  assert.deepEqual([...(tally?.unowned.examples ?? [])].sort(), ["team-a/bare", "team-a/copy", "team-b/two"]);
  assert.deepEqual(tally?.mislabelled, { count: 1, examples: ["team-a/copy"] });
  assert.deepEqual(tally?.unlabelled, { count: 1, examples: ["team-a/bare"] });
  assert.deepEqual([tally?.objects, tally?.exempt], [6, 2]);
});

test("verify: limited kinds of a server that does not answer are named, those that nobody limits are not", () => {
  const unknown = ["metrics.example.com/v1", "widgets.example.com/v1beta1"];
  const limiting = (apiGroup: string) => {
    const [limit] = shard("left", ["*"], ["team-a"]).limits;
    const limits = [{ ...(limit ?? assert.fail()), groups: [apiGroup] }];
    return ledger([{ ...shard("left", [], ["team-a"]), limits }], { "team-a": "left" });
  };
  assert.deepEqual(uncountedVersions([limiting("widgets.example.com")], { unknown }), [unknown[1]]);
  assert.deepEqual(uncountedVersions([limiting("*")], { unknown }), unknown);
  assert.deepEqual(uncountedVersions([limiting("")], { unknown }), []);
});
