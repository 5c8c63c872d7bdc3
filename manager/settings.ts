import type { HashName } from "#api/bucket";
import { isLabelKey } from "#api/label-selector";
import { defaultExemptNamespaces, defaultShardLabels, environment, wellKnown } from "#api/names";
import { ports } from "#api/ports";
import { logFormats, logLevels } from "#runtime/log";
import type { Setting } from "#runtime/setting-types";
import { integer, list, oneOf, optionalText, port, text, toggle } from "#runtime/setting-types";
import type { Settings } from "#runtime/settings";
import { iptablesBackends } from "#webhook/injection-request";
import { proxyResources } from "./proxy-settings.ts";

/** Settings of `ctrlmesh manager`; names of the originals are kept where they make sense (`spec/ctrlmesh.md` 3.7). */
export const managerSettings = {
  kubeconfig: optionalText(
    {
      description: "kubeconfig of the cluster; without it the pod's service account is used",
      env: "KUBECONFIG",
    },
    "FILE",
  ),
  namespace: text(
    {
      description: "namespace that the manager runs in",
      env: environment.podNamespace,
      default: wellKnown.defaultManagerNamespace,
    },
    "NAME",
  ),
  podName: text(
    { description: "name of this replica", env: environment.podName, default: "ctrlmesh-manager" },
    "NAME",
  ),
  podIp: text(
    {
      description: "address under which proxies and other replicas reach this replica",
      env: environment.podIp,
      default: "127.0.0.1",
    },
    "ADDRESS",
  ),
  listenHost: text({ description: "address that all listeners bind to", default: "0.0.0.0" }, "ADDRESS"),
  grpcLeaderElectionPort: port({ description: "port of the control stream", default: ports.managerControl }),
  webhookPort: port({
    description: "port of the admission webhooks",
    env: "WEBHOOK_PORT",
    default: ports.managerWebhook,
  }),
  webhookHost: optionalText(
    {
      description: "host that the API server calls webhooks by; without it the service is used",
      env: "WEBHOOK_HOST",
    },
    "HOST",
  ),
  httpBindPort: port({ description: "port of /healthz, /readyz and /metrics", default: ports.managerHttp }),
  leaderElectionNamespace: optionalText(
    { description: "namespace of the Lease ctrlmesh-manager; default: --namespace" },
    "NAME",
  ),
  leaseDurationSeconds: integer({
    description: "how long a leader that stopped answering keeps the lease",
    default: 15,
    min: 2,
    max: 300,
  }),
  resourceConfigmapName: text(
    { description: "ConfigMap that lists the kinds to label", default: wellKnown.shardingResourceConfigMap },
    "NAME",
  ),
  labelShardHash: labelKey("key of the label with the bucket", defaultShardLabels.hash),
  labelNamespace: labelKey("key of the label with the namespace's name", defaultShardLabels.namespace),
  labelMeshControl: labelKey(
    "key of the label that marks what the manager controls",
    defaultShardLabels.control,
  ),
  hash: oneOf<HashName>(["murmur3", "additive"], {
    description: "function from a namespace's name to its bucket; additive is that of the Go original",
    default: "murmur3",
  }),
  exemptNamespaces: list(
    {
      description: "namespaces that are neither labelled nor sharded; that of the manager always is one",
      default: defaultExemptNamespaces,
    },
    "NAMES",
  ),
  proxyImage: text({ description: "image of the proxy container", default: "ctrlmesh" }, "IMAGE"),
  proxyImagePullPolicy: oneOf(["IfNotPresent", "Always", "Never"], {
    description: "pull policy of the proxy's image",
    default: "IfNotPresent",
  }),
  proxyResources,
  proxyLogLevel: oneOf(logLevels, {
    description: "least severe level that proxies log",
    default: "info",
  }),
  proxyManagerAddress: optionalText(
    { description: "address that proxies dial; default: the service ctrlmesh-manager of --namespace" },
    "HOST:PORT",
  ),
  clusterCaFile: optionalText(
    { description: "CA certificates of the API server, for namespaces without kube-root-ca.crt" },
    "FILE",
  ),
  kubernetesServiceIp: optionalText(
    {
      description: "address of the service kubernetes, put into the proxies' certificates",
      env: environment.kubernetesServiceHost,
    },
    "ADDRESS",
  ),
  restConfigQps: integer({
    description: "requests per second that the manager sends to the API server",
    default: 200,
    min: 1,
    max: 100_000,
  }),
  restConfigBurst: integer({
    description: "requests that it may send at once",
    default: 400,
    min: 1,
    max: 100_000,
  }),
  iptablesBackend: oneOf(iptablesBackends, {
    description:
      "packet filter that mode iptables writes to; legacy gives its init container NET_RAW as well",
    default: "nft",
  }),
  nativeSidecars: toggle({
    description: "inject the proxy as a native sidecar; off: as the first container",
    default: true,
  }),
  logLevel: oneOf(logLevels, {
    description: "least severe level that is logged",
    default: "info",
  }),
  logFormat: oneOf(logFormats, { description: "form of a log line", default: "json" }),
} as const;

export type ManagerSettings = Settings<typeof managerSettings>;

function labelKey(description: string, fallback: string): Setting<string> {
  return {
    description,
    placeholder: "KEY",
    default: fallback,
    defaultText: fallback,
    parse: (given) =>
      isLabelKey(given)
        ? { ok: true, value: given }
        : { ok: false, expected: "a label key such as example.com/shard-hash" },
  };
}
