import type { AddressPlan } from "./address-plan.ts";

/** Configuration files of a node's parts. JSON is YAML too. */

/** What of a cluster the files depend on. */
export interface NodeFacts {
  readonly nodeName: string;
  readonly directory: string;
  readonly plan: AddressPlan;
  readonly cgroup: string;
}

export const pauseImage = "localhost/pause:1";
/** In memory of the node: away when the node is. */
export const containerdSocket = "/run/containerd/containerd.sock";

export function containerdConfiguration({ directory }: NodeFacts): string {
  return `version = 2
root = "${directory}/containerd"
state = "/run/containerd/state"
# It would make a folder below /opt.
disabled_plugins = ["io.containerd.internal.v1.opt"]

[grpc]
  address = "${containerdSocket}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${pauseImage}"
  # A container in a container may not lower the score of its parent.
  restrict_oom_score_adj = true

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "${directory}/cni"
`;
}

export function cniConfiguration({ plan }: NodeFacts): string {
  return JSON.stringify({
    cniVersion: "1.0.0",
    name: "pods",
    plugins: [
      {
        type: "bridge",
        bridge: "cni0",
        isGateway: true,
        ipMasq: true,
        hairpinMode: true,
        ipam: {
          type: "host-local",
          ranges: [[{ subnet: plan.podRanges.ipv4 }], [{ subnet: plan.podRanges.ipv6 }]],
          routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }],
        },
      },
      { type: "portmap", capabilities: { portMappings: true } },
    ],
  });
}

export function kubeletConfiguration({ directory, plan, cgroup }: NodeFacts): string {
  return JSON.stringify({
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    failCgroupV1: false,
    failSwapOn: false,
    cgroupDriver: "cgroupfs",
    cgroupRoot: `/${cgroup}`,
    enforceNodeAllocatable: [],
    containerRuntimeEndpoint: `unix://${containerdSocket}`,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: `${directory}/pki/ca.crt` },
    },
    authorization: { mode: "Webhook" },
    tlsCertFile: `${directory}/pki/kubelet.crt`,
    tlsPrivateKeyFile: `${directory}/pki/kubelet.key`,
    clusterDomain: "cluster.local",
    clusterDNS: [plan.dns.ipv4],
    // Pods get the cluster's DNS alone: this machine's resolver is no part of the cluster.
    resolvConf: "",
    podLogsDir: `${directory}/pod-logs`,
    volumePluginDir: `${directory}/volume-plugins`,
    // The disk and the memory are shared with everything else on this machine.
    evictionHard: {},
    imageGCHighThresholdPercent: 100,
    localStorageCapacityIsolation: false,
    // Clusters for tests: many small pods that end at once.
    maxPods: 250,
    nodeStatusReportFrequency: "10s",
  });
}

export function kubeProxyConfiguration({ nodeName, directory, plan }: NodeFacts): string {
  return JSON.stringify({
    apiVersion: "kubeproxy.config.k8s.io/v1alpha1",
    kind: "KubeProxyConfiguration",
    mode: "iptables",
    clusterCIDR: `${plan.podRanges.ipv4},${plan.podRanges.ipv6}`,
    clientConnection: { kubeconfig: `${directory}/kube-proxy.kubeconfig` },
    hostnameOverride: nodeName,
    // These would change settings of the whole machine.
    conntrack: { maxPerCore: 0, tcpEstablishedTimeout: "0s", tcpCloseWaitTimeout: "0s" },
  });
}
