/** Names that users and other programs see. `spec/ctrlmesh.md` section 3 says which the original has. */

export const group = "ctrlmesh.kusionstack.io";
export const meshGroup = "dcp.hiro.io";

/** Default keys of the three shard labels; flags of the manager rename them. */
export const defaultShardLabels: ShardLabels = {
  hash: `${group}/sharding-hash`,
  namespace: `${group}/namespace`,
  control: `${group}/control`,
};

/** Keys of the labels that the manager stamps on namespaces and objects. */
export interface ShardLabels {
  /** Bucket of the namespace, decimal "0".."31". */
  readonly hash: string;
  /** Name of the namespace. */
  readonly namespace: string;
  /** "true": managed by us. */
  readonly control: string;
}

export const labels = {
  enableProxy: `${group}/enable-proxy`,
  enableIptables: `${group}/enable-iptables`,
  /** On injected pods: name of the matched ShardingConfig. */
  shardingConfigInjected: `${group}/sharding-config-injected`,
  /** On injected pods: "true", so that a selector finds them. */
  watching: `${group}/watching`,
  autoShardingRoot: `${group}/auto-sharding-root`,
  ignoreWebhook: `${group}/ignore-webhook`,
  ignoreValidate: `${group}/ignore-validate`,
  disableFakeKubeconfigArg: `${group}/disable-fake-kubeconfig-arg`,
  disableFakeKubeconfigEnv: `${group}/disable-fake-kubeconfig-env`,
  kubeconfigVolume: `${group}/kubeconfig-volume`,
  rolling: `${group}/rolling`,
  circuitBreakerDisable: `circuitbreaker.${group}/disable`,
  faultInjectionDisable: `faultinjection.${group}/disable`,
  meshShare: "mesh.ctrlmesh.kusionstack.io/share",
  podName: "statefulset.kubernetes.io/pod-name",
} as const;

export const annotations = {
  /** Opt-in of a namespace; a label of the same key counts too. */
  enableProxy: `${group}/enable-proxy`,
  proxyMode: `${group}/proxy-mode`,
  /** "true": clients that dial the API server by its name are led to the proxy too (modes env and kubeconfig). */
  proxyByName: `${group}/proxy-by-name`,
  /** On injected pods: JSON that tells what injection changed. */
  injected: `${group}/injected`,
  logPath: `${group}/log-path`,
  envSync: `${group}/env-sync`,
  envInject: `${group}/env-inject`,
  proxyResource: `${group}/proxy-resource`,
} as const;

/** Level that Pod Security enforces in a namespace (label of the namespace). */
export const podSecurityEnforce = "pod-security.kubernetes.io/enforce";

/** Names by which clients in a pod know the API server. */
export const apiServerNames = [
  "kubernetes",
  "kubernetes.default",
  "kubernetes.default.svc",
  "kubernetes.default.svc.cluster.local",
] as const;

export const finalizer = `finalizer.${group}/protected`;

export const wellKnown = {
  managerState: "ctrlmesh-manager",
  managerLease: "ctrlmesh-manager",
  managerService: "ctrlmesh-manager",
  webhookService: "ctrlmesh-webhook-service",
  shardingResourceConfigMap: "ctrlmesh-sharding-resource",
  shardingResourceKey: "resource-config",
  /** Secret in the manager's namespace: certificate and key of the mesh CA. */
  caSecret: "ctrlmesh-ca",
  /** ConfigMap in each opted-in namespace: cluster CA and mesh CA in one `ca.crt`. */
  caBundleConfigMap: "ctrlmesh-ca",
  webhookCertificateSecret: "ctrlmesh-webhook-certs",
  mutatingWebhook: "ctrlmesh-mutating",
  validatingWebhook: "ctrlmesh-validating",
  /** MutatingAdmissionPolicy that copies the shard labels of a namespace to its objects. */
  stampPolicy: "ctrlmesh-stamp-shard-labels",
  /** MutatingAdmissionPolicy that copies a namespace's opt-in annotation to its label. */
  optInPolicy: "ctrlmesh-opt-in",
  /** ValidatingAdmissionPolicy that refuses a pod that must have the proxy and has none. */
  requireProxyPolicy: "ctrlmesh-require-proxy",
  /** ValidatingAdmissionPolicy that lets only the manager change shard labels of namespaces. */
  protectLabelsPolicy: "ctrlmesh-protect-labels",
  fakeKubeconfigConfigMap: "fake-kubeconfig",
  fakeKubeconfigKey: "fake-kubeconfig.yaml",
  fakeKubeconfigMountPath: "/etc/kubernetes/kubeconfig",
  defaultManagerNamespace: "ctrlmesh",
} as const;

/** Keys of the ConfigMap `caBundleConfigMap`: both authorities together, and each alone. */
export const caBundleKeys = { all: "ca.crt", cluster: "cluster-ca.crt", mesh: "mesh-ca.crt" } as const;

export const containers = { proxy: "ctrlmesh-proxy", init: "ctrlmesh-init" } as const;

/** Where injection mounts things in the proxy container. */
export const proxyPaths = {
  /** emptyDir: last good snapshot, serving key and certificate. Survives a container restart, not the pod. */
  stateDirectory: "/ctrlmesh/state",
  /** Projected token of audience `controlAudience`, file `token`. */
  controlTokenDirectory: "/var/run/secrets/ctrlmesh/control",
  serviceAccountDirectory: "/var/run/secrets/kubernetes.io/serviceaccount",
} as const;

/** Audience of the token with which a proxy opens the control stream. */
export const controlAudience = "ctrlmesh";

/** Environment variables that injection sets on the proxy container; the chart sets those of the manager. */
export const environment = {
  podName: "POD_NAME",
  podNamespace: "POD_NAMESPACE",
  podUid: "POD_UID",
  podIp: "POD_IP",
  kubernetesServiceHost: "KUBERNETES_SERVICE_HOST",
  kubernetesServicePort: "KUBERNETES_SERVICE_PORT",
  kubeconfig: "KUBECONFIG",
} as const;

/** Settings of the proxy that injection makes from `spec.webhook`; their presence says that the pod relays reviews. */
export const relayEnvironment = {
  target: "CTRLMESH_WEBHOOK_TARGET",
  certDir: "CTRLMESH_WEBHOOK_CERT_DIR",
} as const;

/** User agent and field manager of the manager's own requests. */
export const managerUserAgent = "ctrlmesh-manager";
export const fieldManager = "ctrlmesh-manager";

/** Namespaces that are never labelled nor sharded unless the list is changed (`--exempt-namespaces`). */
export const defaultExemptNamespaces: readonly string[] = [
  "kube-system",
  "kube-public",
  "kube-node-lease",
  "default",
];
