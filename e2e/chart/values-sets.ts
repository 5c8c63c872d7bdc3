import type { ChartValues } from "./helm.ts";

const digest = `sha256:${"0123456789abcdef".repeat(4)}`;

/** Values with which the chart is rendered; what comes out lies in the chart's testdata. Kinds are left out: they are files. */
export const valuesSets: Readonly<Record<string, ChartValues>> = {
  default: { "crds.enabled": false },
  /** One replica on a small cluster, as little as possible around it. */
  small: {
    "crds.enabled": false,
    replicas: 1,
    "podDisruptionBudget.enabled": false,
    "uninstallCheck.enabled": false,
    "rbac.aggregateClusterRoles": false,
    "rbac.labelledKinds": [],
    podAntiAffinity: "none",
  },
  /** Every switch on, every text of the user's own. */
  full: {
    "crds.enabled": false,
    "image.repository": "registry.example/mirror/ctrlmesh",
    "image.digest": digest,
    imagePullSecrets: [{ name: "registry" }],
    replicas: 3,
    logLevel: "debug",
    logFormat: "text",
    extraArgs: ["--rest-config-qps=500"],
    extraEnv: [{ name: "EXTRA", value: "1" }],
    "proxy.image.repository": "registry.example/mirror/ctrlmesh-proxy",
    "proxy.image.tag": "canary",
    "proxy.image.pullPolicy": "Always",
    "sharding.hash": "additive",
    "sharding.groupVersionKinds": { v1: ["ConfigMap"], "apps/v1": ["*"] },
    "rbac.labelledKinds": [{ apiGroups: ["apps"], resources: ["statefulsets", "deployments"] }],
    "serviceAccount.name": "mesh-manager",
    "serviceAccount.annotations": { "example.com/role": "mesh" },
    podAntiAffinity: "hard",
    affinity: { nodeAffinity: {} },
    tolerations: [{ key: "node-role.kubernetes.io/control-plane", operator: "Exists" }],
    topologySpreadConstraints: [
      { maxSkew: 1, topologyKey: "topology.kubernetes.io/zone", whenUnsatisfiable: "ScheduleAnyway" },
    ],
    priorityClassName: "system-cluster-critical",
    podAnnotations: { "example.com/note": "true" },
    podLabels: { "example.com/team": "platform" },
    commonLabels: { "example.com/owner": "platform" },
    listenHost: "::",
    "networkPolicy.enabled": true,
    "networkPolicy.metricsFrom": [
      { namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "monitoring" } } },
    ],
    "metrics.serviceMonitor.enabled": true,
    "metrics.podMonitor.enabled": true,
    "metrics.prometheusRule.enabled": true,
    "metrics.prometheusRule.labels": { release: "prometheus" },
    "metrics.dashboard.enabled": true,
  },
};

/** Values that the schema refuses, and what it says of them. */
export const refusedValues: readonly (readonly [ChartValues, RegExp])[] = [
  [{ replica: 3 }, /additional properties 'replica' not allowed/],
  [{ "image.tags": "1" }, /additional properties 'tags' not allowed/],
  [{ replicas: "2" }, /got string, want integer/],
  [{ "image.digest": "sha256:1" }, /does not match pattern/],
  [{ logLevel: "verbose" }, /value must be one of/],
  [{ "sharding.hash": "md5" }, /value must be one of/],
  [{ "sharding.labels.hash": "no key" }, /does not match pattern/],
  [{ "sharding.groupVersionKinds": { apps: ["StatefulSet"] } }, /does not match pattern/],
  [{ "rbac.labelledKinds": [{ apiGroups: ["apps"] }] }, /missing property 'resources'/],
  [{ "resources.limits": { memory: "512 MB" } }, /does not match pattern/],
  [{ extraArgs: ["-v=4"] }, /does not match pattern/],
];
