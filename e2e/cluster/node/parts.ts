import { featureGateArguments } from "../feature-gates.ts";
import { etcdBinary, kubernetesBinary } from "../versions.ts";
import type { NodeFacts } from "./configuration.ts";
import type { BootOptions } from "./record.ts";

/** The programs of a one-node cluster. */
export type PartName =
  | "etcd"
  | "kube-apiserver"
  | "kube-controller-manager"
  | "kube-scheduler"
  | "containerd"
  | "kubelet"
  | "kube-proxy";

export interface PartFacts extends NodeFacts {
  readonly version: string;
  readonly options: BootOptions;
}

export const apiServerPort = 6443;
const etcdUrl = "http://127.0.0.1:2379";

/** Program and arguments of each part. */
export function partCommand(part: PartName, facts: PartFacts): string[] {
  return commands[part](facts);
}

const commands: Record<PartName, (facts: PartFacts) => string[]> = {
  etcd: ({ directory }) => [
    etcdBinary(),
    `--data-dir=${directory}/etcd`,
    `--listen-client-urls=${etcdUrl}`,
    `--advertise-client-urls=${etcdUrl}`,
    "--unsafe-no-fsync",
  ],
  "kube-apiserver": apiServerCommand,
  "kube-controller-manager": controllerManagerCommand,
  "kube-scheduler": ({ directory, version }) => [
    kubernetesBinary("kube-scheduler", version),
    `--kubeconfig=${directory}/kube-scheduler.kubeconfig`,
    "--leader-elect=false",
    "--secure-port=0",
  ],
  containerd: ({ directory }) => ["containerd", `--config=${directory}/containerd.toml`],
  kubelet: ({ directory, version, nodeName, plan }) => [
    kubernetesBinary("kubelet", version),
    `--config=${directory}/kubelet.json`,
    `--kubeconfig=${directory}/kubelet.kubeconfig`,
    `--hostname-override=${nodeName}`,
    `--node-ip=${plan.node.ipv4},${plan.node.ipv6}`,
    `--root-dir=${directory}/kubelet`,
  ],
  "kube-proxy": ({ directory, version }) => [
    kubernetesBinary("kube-proxy", version),
    `--config=${directory}/kube-proxy.json`,
  ],
};

function apiServerCommand({ directory, version, plan, options }: PartFacts): string[] {
  const pki = `${directory}/pki`;
  return [
    kubernetesBinary("kube-apiserver", version),
    `--etcd-servers=${etcdUrl}`,
    "--bind-address=::",
    `--secure-port=${apiServerPort}`,
    `--advertise-address=${plan.node.ipv4}`,
    `--tls-cert-file=${pki}/apiserver.crt`,
    `--tls-private-key-file=${pki}/apiserver.key`,
    `--client-ca-file=${pki}/ca.crt`,
    `--service-account-key-file=${pki}/sa.pub`,
    `--service-account-signing-key-file=${pki}/sa.key`,
    "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
    `--service-cluster-ip-range=${plan.serviceRanges.ipv4},${plan.serviceRanges.ipv6}`,
    "--authorization-mode=Node,RBAC",
    "--enable-admission-plugins=NodeRestriction",
    "--allow-privileged=true",
    `--kubelet-client-certificate=${pki}/kubelet-client.crt`,
    `--kubelet-client-key=${pki}/kubelet-client.key`,
    `--kubelet-certificate-authority=${pki}/ca.crt`,
    "--kubelet-preferred-address-types=InternalIP",
    ...auditArguments(directory, options.audit),
    ...featureGateArguments(options.featureGates),
    ...options.apiserverArgs,
  ];
}

export function auditLogPath(directory: string): string {
  return `${directory}/audit.log`;
}

function auditArguments(directory: string, isOn: boolean): string[] {
  if (!isOn) return [];
  return [
    `--audit-policy-file=${directory}/audit-policy.yaml`,
    `--audit-log-path=${auditLogPath(directory)}`,
    "--audit-log-mode=blocking-strict",
  ];
}

function controllerManagerCommand({ directory, version, plan, options }: PartFacts): string[] {
  return [
    kubernetesBinary("kube-controller-manager", version),
    `--kubeconfig=${directory}/kube-controller-manager.kubeconfig`,
    "--use-service-account-credentials=true",
    `--service-account-private-key-file=${directory}/pki/sa.key`,
    `--root-ca-file=${directory}/pki/ca.crt`,
    `--cluster-signing-cert-file=${directory}/pki/ca.crt`,
    `--cluster-signing-key-file=${directory}/pki/ca.key`,
    "--allocate-node-cidrs=true",
    // One node: its range is the whole cluster's.
    `--cluster-cidr=${plan.podRanges.ipv4},${plan.podRanges.ipv6}`,
    "--node-cidr-mask-size-ipv4=24",
    "--node-cidr-mask-size-ipv6=64",
    // Each controller asks for a token at its start: the default of 20 requests a second takes seconds of every boot.
    "--kube-api-qps=200",
    "--kube-api-burst=400",
    "--leader-elect=false",
    "--secure-port=0",
    ...options.controllerManagerArgs,
  ];
}
