import assert from "node:assert/strict";
import { test } from "node:test";
import { labels } from "#api/names";
import { parseShardingConfig, type ShardingConfig } from "#api/sharding-config";
import { groupConfigs, ledgerNameOf } from "./groups.ts";

interface ConfigFacts {
  readonly leader?: string;
  readonly pods?: readonly string[];
  readonly root?: string;
  readonly created?: string;
}

function config(name: string, { leader, pods = ["x"], root, created }: ConfigFacts): ShardingConfig {
  return parseShardingConfig({
    metadata: {
      name,
      namespace: "ops",
      creationTimestamp: created ?? "2030-01-01T00:00:00Z",
      ...(root === undefined ? {} : { labels: { [labels.autoShardingRoot]: root } }),
    },
    spec: {
      selector: { matchExpressions: [{ key: labels.podName, operator: "In", values: pods }] },
      ...(leader === undefined ? {} : { controller: { leaderElectionName: leader } }),
      limits: [{ relateResources: [{ apiGroups: [""], resources: ["configmaps"] }] }],
    },
  });
}

const groupsOf = (...configs: readonly ShardingConfig[]) =>
  groupConfigs(configs).map(({ name, configs: members }) => [name, members.map((c) => c.metadata.name)]);

test("groupConfigs: a shared lock, a shared workload and a chain of both make one group", () => {
  assert.deepEqual(groupsOf(config("a", { leader: "billing" }), config("b", { leader: "billing" })), [
    ["leader.billing", ["a", "b"]],
  ]);
  assert.deepEqual(groupsOf(config("a", { pods: ["op-0"] }), config("b", { pods: ["op-1", "op-2"] })), [
    ["workload.op", ["a", "b"]],
  ]);
  assert.deepEqual(
    groupsOf(
      config("a", { leader: "billing", pods: ["op-0"] }),
      config("b", { pods: ["op-1"] }),
      config("c", { leader: "billing", pods: ["other-0"] }),
    ),
    [["leader.billing", ["a", "b", "c"]]],
  );
});

test("groupConfigs: strangers stay apart, a single one keeps its group's name when a sibling comes", () => {
  assert.deepEqual(
    groupsOf(config("a", { pods: ["op-0"] }), config("b", { pods: ["web-0"] }), config("c", {})),
    [
      ["config.c", ["c"]],
      ["workload.op", ["a"]],
      ["workload.web", ["b"]],
    ],
  );
  assert.equal(groupsOf(config("a", { pods: ["op-0"] }))[0]?.[0], "workload.op");
});

test("groupConfigs: children of a root are a group of their own, older shards come first", () => {
  assert.deepEqual(
    groupsOf(
      config("young", { root: "r", leader: "billing", created: "2031-01-01T00:00:00Z" }),
      config("old", { root: "r", leader: "billing" }),
      config("hand", { leader: "billing" }),
    ),
    [
      ["leader.billing", ["hand"]],
      ["root.r", ["old", "young"]],
    ],
  );
});

test("ledgerNameOf: names are DNS names, different for different groups", () => {
  assert.equal(ledgerNameOf("leader.billing"), "leader.billing");
  const long = `leader.${"x".repeat(80)}`;
  const names = new Set([long, `${long}y`, "leader.Upper", "leader.upper-"].map(ledgerNameOf));
  assert.equal(names.size, 4);
  for (const name of names) assert.match(name, /^[a-z0-9][-a-z0-9.]{0,61}[a-z0-9]$/);
});
