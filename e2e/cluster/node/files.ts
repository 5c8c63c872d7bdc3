import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { auditPolicy } from "../audit.ts";
import { type Credentials, type ServingCertificate, writeKeys, writeKubeconfig } from "../keys.ts";
import {
  cniConfiguration,
  containerdConfiguration,
  kubeletConfiguration,
  kubeProxyConfiguration,
  type NodeFacts,
} from "./configuration.ts";
import { apiServerPort } from "./parts.ts";

export function apiServerUrl({ plan }: NodeFacts): string {
  return `https://${plan.node.ipv4}:${apiServerPort}`;
}

/** Writes all that a new cluster is configured by: keys, kubeconfigs, and the files of its parts. */
export async function writeClusterFiles(facts: NodeFacts, clusterName: string): Promise<void> {
  const { directory, nodeName } = facts;
  const pki = join(directory, "pki");
  for (const folder of ["pki", "log", "cni"]) mkdirSync(join(directory, folder), { recursive: true });
  const keys = await writeKeys(pki, servers(facts));
  const users = {
    "kube-controller-manager": { name: "system:kube-controller-manager" },
    "kube-scheduler": { name: "system:kube-scheduler" },
    "kube-proxy": { name: "system:kube-proxy" },
    kubelet: { name: `system:node:${nodeName}`, group: "system:nodes" },
  };
  const url = apiServerUrl(facts);
  writeKubeconfig(directory, url, keys.admin, { cluster: clusterName });
  for (const [name, user] of Object.entries(users))
    writeKubeconfig(directory, url, await keys.certify(user), { name, cluster: clusterName });
  const apiServer = await keys.certify({ name: "kube-apiserver-kubelet-client", group: "system:masters" });
  const files = {
    "pki/admin.crt": keys.admin.clientCertificate,
    "pki/admin.key": keys.admin.clientKey,
    "pki/kubelet-client.crt": apiServer.clientCertificate,
    "pki/kubelet-client.key": apiServer.clientKey,
    "containerd.toml": containerdConfiguration(facts),
    "cni/10-pods.conflist": cniConfiguration(facts),
    "kubelet.json": kubeletConfiguration(facts),
    "kube-proxy.json": kubeProxyConfiguration(facts),
    "audit-policy.yaml": auditPolicy,
  };
  for (const [name, text] of Object.entries(files))
    writeFileSync(join(directory, name), text, { mode: 0o600 });
}

/** The admin of system:masters, as `writeClusterFiles` left it. */
export function adminOf(directory: string): Credentials {
  const read = (name: string): string => readFileSync(join(directory, "pki", name), "utf8");
  return { caPem: read("ca.crt"), clientCertificate: read("admin.crt"), clientKey: read("admin.key") };
}

function servers({ plan, nodeName }: NodeFacts): ServingCertificate[] {
  const service = "kubernetes.default.svc";
  return [
    {
      file: "apiserver",
      commonName: "kube-apiserver",
      dnsNames: ["localhost", "kubernetes", "kubernetes.default", service, `${service}.cluster.local`],
      ipAddresses: ["127.0.0.1", "::1", plan.apiServerService, plan.node.ipv4, plan.node.ipv6],
    },
    {
      file: "kubelet",
      commonName: `system:node:${nodeName}`,
      group: "system:nodes",
      dnsNames: [nodeName],
      ipAddresses: [plan.node.ipv4, plan.node.ipv6],
    },
  ];
}
