import assert from "node:assert/strict";
import { test } from "node:test";
import { bucketOf } from "#api/bucket";
import type { KubernetesObject } from "#api/meta";
import { eventually } from "./eventually.ts";
import { kinds, Mesh } from "./mesh.ts";

const hashKey = "ctrlmesh.kusionstack.io/shard-hash";
const teams = ["alpha", "beta", "delta", "epsilon", "gamma", "kappa", "lambda", "omega", "sigma", "zeta"];

/** A shard of the example operator that takes a range of buckets, by the label key of the Go original. */
function shard(name: string, ordinal: number, buckets: readonly number[]): KubernetesObject {
  return {
    apiVersion: "ctrlmesh.kusionstack.io/v1alpha1",
    kind: "ShardingConfig",
    metadata: { name, namespace: "demo" },
    spec: {
      selector: {
        matchExpressions: [
          {
            key: "statefulset.kubernetes.io/pod-name",
            operator: "In",
            values: [`digest-operator-${ordinal}`],
          },
        ],
      },
      limits: [
        {
          // "*" in groups: configmaps of whatever group.
          relateResources: [{ apiGroups: ["*"], resources: ["configmaps"] }],
          selector: { matchExpressions: [{ key: hashKey, operator: "In", values: buckets.map(String) }] },
        },
      ],
    },
  };
}

async function recordOf(mesh: Mesh, pod: string): Promise<readonly string[]> {
  const object = await mesh.get(kinds.configMaps, "demo", `record-${pod}`);
  const { record = "{}" } = object.data as Record<string, string>;
  return (JSON.parse(record) as { sources: string[] }).sources;
}

test("buckets: with the original's label key and hash, two ranges share out all namespaces, new ones too", async () => {
  await using mesh = await Mesh.open();
  const manager = await mesh.manager("ctrlmesh-manager-0", {
    extraArgs: [`--label-shard-hash=${hashKey}`, "--hash=additive"],
  });
  await manager.start();
  await mesh.namespace("demo", true);
  const source = (namespace: string): KubernetesObject => ({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "source", namespace, labels: { "example.com/source": "true" } },
    data: { text: namespace },
  });
  for (const team of teams) {
    await mesh.namespace(team);
    await mesh.apply(source(team));
  }
  const range = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index);
  await mesh.apply(shard("low", 0, range(0, 16)));
  await mesh.apply(shard("high", 1, range(16, 32)));
  await mesh.applyFile("examples/demo/operator.yaml");
  await mesh.shardsReady("demo");

  const expected = (all: readonly string[], low: boolean) =>
    all.filter((team) => bucketOf(team, "additive") < 16 === low).map((team) => `${team}/source`);
  const seesItsPart = (all: readonly string[]) => async (): Promise<boolean> => {
    assert.deepEqual(await recordOf(mesh, "digest-operator-0"), expected(all, true));
    assert.deepEqual(await recordOf(mesh, "digest-operator-1"), expected(all, false));
    return true;
  };
  assert.ok(expected(teams, true).length > 0 && expected(teams, false).length > 0);
  await eventually("each operator sees the namespaces of its buckets", seesItsPart(teams));

  await mesh.namespace("newcomer");
  const made = await mesh.apply(source("newcomer"));
  assert.equal(made.metadata?.labels?.[hashKey], String(bucketOf("newcomer", "additive")));
  await eventually(
    "a new namespace belongs to one of them at once",
    seesItsPart([...teams, "newcomer"].sort()),
  );
});
