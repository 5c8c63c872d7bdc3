import { corednsVersion } from "../versions.ts";
import type { AddressPlan } from "./address-plan.ts";

export const corednsImage = `localhost/coredns:${corednsVersion}`;

/** Names outside of the cluster do not exist: this machine's resolver is no part of it. */
const corefile = `cluster.local in-addr.arpa ip6.arpa {
  errors
  health
  ready
  kubernetes cluster.local in-addr.arpa ip6.arpa {
    pods insecure
    ttl 5
  }
  cache 5
  reload
}
. {
  template ANY ANY {
    rcode NXDOMAIN
  }
}
`;

const labels = { "k8s-app": "kube-dns" };
const namespace = "kube-system";

/** An object with the path that it is applied to. */
export interface Manifest {
  readonly path: string;
  readonly object: Readonly<Record<string, unknown>>;
}

/** Cluster DNS as clusters have it: the names `kube-dns` (Service) and `coredns` are those that others look for. */
export function corednsManifests({ dns }: AddressPlan): Manifest[] {
  const role = "system:coredns";
  const rbac = "rbac.authorization.k8s.io";
  return [
    {
      path: `/api/v1/namespaces/${namespace}/serviceaccounts/coredns`,
      object: { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "coredns", namespace } },
    },
    {
      path: `/apis/${rbac}/v1/clusterroles/${role}`,
      object: {
        apiVersion: `${rbac}/v1`,
        kind: "ClusterRole",
        metadata: { name: role },
        rules: [
          { apiGroups: [""], resources: ["services", "pods", "namespaces"], verbs: ["list", "watch"] },
          { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["list", "watch"] },
        ],
      },
    },
    {
      path: `/apis/${rbac}/v1/clusterrolebindings/${role}`,
      object: {
        apiVersion: `${rbac}/v1`,
        kind: "ClusterRoleBinding",
        metadata: { name: role },
        roleRef: { apiGroup: rbac, kind: "ClusterRole", name: role },
        subjects: [{ kind: "ServiceAccount", name: "coredns", namespace }],
      },
    },
    {
      path: `/api/v1/namespaces/${namespace}/configmaps/coredns`,
      object: {
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name: "coredns", namespace },
        data: { Corefile: corefile },
      },
    },
    {
      path: `/apis/apps/v1/namespaces/${namespace}/deployments/coredns`,
      object: {
        apiVersion: "apps/v1",
        kind: "Deployment",
        metadata: { name: "coredns", namespace },
        spec: deploymentSpec,
      },
    },
    {
      path: `/api/v1/namespaces/${namespace}/services/kube-dns`,
      object: {
        apiVersion: "v1",
        kind: "Service",
        metadata: { name: "kube-dns", namespace },
        spec: {
          selector: labels,
          clusterIP: dns.ipv4,
          clusterIPs: [dns.ipv4, dns.ipv6],
          ipFamilyPolicy: "RequireDualStack",
          ports: [
            { name: "dns", port: 53, protocol: "UDP" },
            { name: "dns-tcp", port: 53, protocol: "TCP" },
          ],
        },
      },
    },
  ];
}

const deploymentSpec = {
  replicas: 1,
  selector: { matchLabels: labels },
  template: {
    metadata: { labels },
    spec: {
      serviceAccountName: "coredns",
      priorityClassName: "system-cluster-critical",
      dnsPolicy: "Default",
      containers: [
        {
          name: "coredns",
          image: corednsImage,
          imagePullPolicy: "Never",
          args: ["-conf", "/etc/coredns/Corefile"],
          ports: [
            { name: "dns", containerPort: 53, protocol: "UDP" },
            { name: "dns-tcp", containerPort: 53, protocol: "TCP" },
          ],
          readinessProbe: { httpGet: { path: "/ready", port: 8181 }, periodSeconds: 1 },
          livenessProbe: { httpGet: { path: "/health", port: 8080 }, failureThreshold: 10 },
          securityContext: {
            allowPrivilegeEscalation: false,
            capabilities: { drop: ["ALL"], add: ["NET_BIND_SERVICE"] },
            readOnlyRootFilesystem: true,
          },
          volumeMounts: [{ name: "config", mountPath: "/etc/coredns", readOnly: true }],
        },
      ],
      volumes: [{ name: "config", configMap: { name: "coredns" } }],
    },
  },
};
