import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "yaml";
import { type LabelSelector, requirementsOf } from "./label-selector.ts";
import { parseShardingConfig } from "./sharding-config.ts";
import { badShardingConfigs } from "./testdata/bad-sharding-configs.ts";
import { testRefusals } from "./testdata/test-refusals.ts";

testRefusals("parseShardingConfig", parseShardingConfig, badShardingConfigs);

const readmeExample = `
apiVersion: ctrlmesh.kusionstack.io/v1alpha1
kind: ShardingConfig
metadata: {name: sharding-demo, namespace: operator-demo}
spec:
  controller: {leaderElectionName: operator-leader}
  webhook: {certDir: /tmp/webhook-certs, port: 9443}
  limits:
  - relateResources:
    - apiGroups: ['*']
      resources: [pods, services]
    selector:
      matchExpressions:
      - {key: ctrlmesh.kusionstack.io/namespace, operator: In, values: [ns-a, ns-b]}
      matchLabels:
  selector:
    matchExpressions:
    - {key: statefulset.kubernetes.io/pod-name, operator: In, values: [operator-demo-0]}
`;

test("parseShardingConfig: the original's example, with matchLabels without value, gets every default", () => {
  const { apiVersion, kind, spec } = parseShardingConfig(parse(readmeExample));
  assert.equal(apiVersion, "ctrlmesh.kusionstack.io/v1alpha1");
  assert.equal(kind, "ShardingConfig");
  assert.deepEqual(spec, {
    controller: { leaderElectionName: "operator-leader" },
    webhook: { certDir: "/tmp/webhook-certs", port: 9443 },
    limits: [
      {
        relateResources: [{ apiGroups: ["*"], resources: ["pods", "services"], access: "Owned" }],
        selector: {
          matchExpressions: [
            { key: "ctrlmesh.kusionstack.io/namespace", operator: "In", values: ["ns-a", "ns-b"] },
          ],
        },
      },
    ],
    selector: {
      matchExpressions: [
        { key: "statefulset.kubernetes.io/pod-name", operator: "In", values: ["operator-demo-0"] },
      ],
    },
    onLoss: "Restart",
    handover: { settleSeconds: 30 },
    unreachable: "Wait",
    writeFence: "Moved",
  });
  const selector: LabelSelector | undefined = spec.selector;
  assert.equal(requirementsOf(selector).length, 1);
});

test("parseShardingConfig: of what it gave gives the same again", () => {
  const once = parseShardingConfig(parse(readmeExample));
  assert.deepEqual(parseShardingConfig(once), once);
});

test("parseShardingConfig: fields of a newer version and a status of the original's do not disturb it", () => {
  const { spec, status } = parseShardingConfig({
    ...parse(readmeExample),
    status: { root: { childShardingConfigs: ["a-0-canary"] }, later: 1 },
    metadata: { name: "x", managedFields: [{}] },
  });
  assert.equal(spec.onLoss, "Restart");
  assert.deepEqual(status, { root: { childShardingConfigs: ["a-0-canary"] } });
});

test("D69: a canary of no replicas is accepted, as a root without canary", () => {
  const { spec } = parseShardingConfig({
    metadata: { name: "root" },
    spec: {
      root: {
        prefix: "op",
        targetStatefulSet: "op",
        canary: { replicas: 0, inNamespaces: ["ns1"] },
        auto: { shardingSize: 2, everyShardReplicas: 1 },
        resourceSelector: [{ relateResources: [{ resources: ["pods"] }] }],
      },
    },
  });
  assert.equal(spec.root?.canary?.replicas, 0);
  assert.equal(spec.root?.auto?.balance, "Buckets");
});

test("parseShardingConfig: a canary with both criteria, as YAML of the originals may have it, is accepted", () => {
  const canary = { replicas: 1, inNamespaces: ["ns1"], inShardHash: ["3"] };
  const { spec } = parseShardingConfig({
    metadata: { name: "root" },
    spec: { root: { prefix: "op", targetStatefulSet: "op", canary, resourceSelector: [{}] } },
  });
  assert.deepEqual(spec.root?.canary, canary);
});

test("D5: a root without canary is accepted", () => {
  const root = {
    prefix: "op",
    targetStatefulSet: "op",
    auto: { shardingSize: 32, everyShardReplicas: 1 },
    resourceSelector: [{}],
  };
  const { spec } = parseShardingConfig({ metadata: { name: "root" }, spec: { root } });
  assert.equal(spec.root?.canary, undefined);
});
