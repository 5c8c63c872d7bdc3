import assert from "node:assert/strict";
import { test } from "node:test";
import { annotations, labels } from "#api/names";
import { chooseMode } from "./choose-mode.ts";
import { inject } from "./inject.ts";
import { defaultProxyResources } from "./injection-request.ts";
import { decideOptIn } from "./opt-in.ts";
import { containersOf } from "./our-containers.ts";
import type { Container, Pod } from "./pod.ts";

/**
 * Every label and annotation of the contract that a user may set on a pod (`spec/ctrlmesh.md` 3.1 and 3.2): what
 * comes of it, or with which words it is refused. A new key does not compile without its row.
 */

const user: Container = {
  name: "manager",
  image: "op:1",
  args: ["--kubeconfig=/x"],
  env: [{ name: "LEVEL", value: "debug" }],
};
const podWith = (metadata: Pod["metadata"]): Pod => ({
  metadata: { name: "op-0", ...metadata },
  spec: { containers: [user] },
});

/** As the webhook does it. */
function injected(pod: Pod, namespaceAnnotations: Readonly<Record<string, string>> = {}): Pod {
  return inject(pod, {
    namespace: "team",
    shard: "a",
    ...chooseMode(pod, namespaceAnnotations),
    nativeSidecars: true,
    apiServer: [{ host: "10.96.0.1", port: 443 }],
    podSecurity: undefined,
    settings: {
      image: "ctrlmesh:1",
      imagePullPolicy: "IfNotPresent",
      resources: defaultProxyResources,
      managerAddress: "ctrlmesh-manager.ctrlmesh.svc:8071",
      managerNamespace: "ctrlmesh",
      extraEnv: {},
      iptablesBackend: "nft",
    },
  }).pod;
}

function find(pod: Pod, name: string): Container {
  return containersOf(pod).find((each) => each.name === name) ?? assert.fail(`no container ${name}`);
}
const variable = (container: Container, name: string) =>
  container.env?.find((each) => each.name === name)?.value;
const mountsAt = (container: Container, path: string) =>
  container.volumeMounts?.some(({ mountPath }) => mountPath === path) ?? false;

/** Undefined: no user sets it on a pod, or it is no pod's. */
type Row =
  | { readonly value: string; readonly comesOf: (pod: Pod) => void }
  | { readonly value: string; readonly refused: RegExp }
  | undefined;

const annotationRows: Readonly<Record<keyof typeof annotations, Row>> = {
  enableProxy: undefined, // a namespace's; on pods it is a label
  injected: undefined, // ours
  proxyMode: {
    value: "kubeconfig",
    comesOf: (pod) => assert.ok(variable(find(pod, "manager"), "KUBECONFIG")),
  },
  proxyByName: {
    value: "true",
    comesOf: (pod) => assert.ok(pod.spec.hostAliases?.[0]?.hostnames?.includes("kubernetes.default.svc")),
  },
  logPath: {
    value: "/logs",
    comesOf: (pod) => assert.ok(mountsAt(find(pod, "manager"), "/logs")),
  },
  envSync: {
    value: "LEVEL,A=b=c",
    comesOf: (pod) => {
      assert.equal(variable(find(pod, "ctrlmesh-proxy"), "LEVEL"), "debug");
      assert.equal(variable(find(pod, "ctrlmesh-proxy"), "A"), "b=c");
    },
  },
  envInject: {
    value: '[{"name":"manager","env":[{"key":"LEVEL","value":"info"}]}]',
    comesOf: (pod) => assert.equal(variable(find(pod, "manager"), "LEVEL"), "info"),
  },
  proxyResource: {
    value: '{"limits":{"memory":"1Gi"}}',
    comesOf: (pod) => assert.deepEqual(find(pod, "ctrlmesh-proxy").resources, { limits: { memory: "1Gi" } }),
  },
};

const labelRows: Readonly<Record<keyof typeof labels, Row>> = {
  enableProxy: {
    value: "false",
    comesOf: ({ metadata }) => {
      const namespace = { name: "team", labels: {}, annotations: { [annotations.enableProxy]: "true" } };
      const podLabels = metadata.labels ?? {};
      assert.deepEqual(decideOptIn({ podLabels, namespace, configs: [], unreadable: [] }), { kind: "leave" });
    },
  },
  enableIptables: { value: "true", comesOf: (pod) => assert.ok(find(pod, "ctrlmesh-init")) },
  disableFakeKubeconfigArg: {
    value: "true",
    comesOf: (pod) => assert.deepEqual(find(pod, "manager").args, ["--kubeconfig=/x"]),
  },
  disableFakeKubeconfigEnv: {
    value: "true",
    comesOf: (pod) => assert.equal(variable(find(pod, "manager"), "KUBECONFIG"), undefined),
  },
  kubeconfigVolume: { value: "other", refused: /kubeconfig-volume\]: .*; take the label away/ },
  shardingConfigInjected: {
    value: "somebody-elses",
    comesOf: ({ metadata }) => assert.equal(metadata.labels?.[labels.shardingConfigInjected], "a"),
  },
  watching: {
    value: "false",
    comesOf: ({ metadata }) => assert.equal(metadata.labels?.[labels.watching], "true"),
  },
  podName: {
    value: "op-0",
    comesOf: ({ metadata }) => assert.equal(metadata.labels?.[labels.podName], "op-0"),
  },
  // Of ShardingConfigs, policies, StatefulSets and what the mesh shares.
  autoShardingRoot: undefined,
  ignoreWebhook: undefined,
  ignoreValidate: undefined,
  rolling: undefined,
  circuitBreakerDisable: undefined,
  faultInjectionDisable: undefined,
  meshShare: undefined,
};

function check(key: string, kind: "annotations" | "labels", row: Row): void {
  if (row === undefined) return;
  const pod = podWith({ [kind]: { [key]: row.value } });
  // The other half of mode kubeconfig shows whether its labels do something.
  const namespaceAnnotations =
    kind === "labels" && key.includes("disable-fake") ? { [annotations.proxyMode]: "kubeconfig" } : {};
  test(`user key: ${kind.slice(0, -1)} ${key} is ${"refused" in row ? "refused" : "honoured"}`, () => {
    if ("refused" in row) {
      assert.throws(() => injected(pod), { code: "INJECTION_REFUSED", message: row.refused });
    } else row.comesOf(injected(pod, namespaceAnnotations));
  });
}

for (const [name, key] of Object.entries(annotations)) {
  check(key, "annotations", annotationRows[name as keyof typeof annotations]);
}
for (const [name, key] of Object.entries(labels)) {
  check(key, "labels", labelRows[name as keyof typeof labels]);
}
