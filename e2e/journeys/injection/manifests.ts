import type { KubernetesObject } from "#api/meta";
import { environment, group, wellKnown } from "#api/names";
import { ports } from "#api/ports";

/** What the journeys put into a cluster: the manager, operators and clients, as their users would write them. */

export const meshImage = "localhost/ctrlmesh:journey";
export const operatorImage = "localhost/operator-go:journey";

const managerNamespace = wellKnown.defaultManagerNamespace;
const managerName = "ctrlmesh-manager";
const field = (name: string, fieldPath: string) => ({ name, valueFrom: { fieldRef: { fieldPath } } });

/** Flags of the manager that decide how pods are injected. */
export interface ManagerSettings {
  readonly nativeSidecars: boolean;
  readonly iptablesBackend: "nft" | "legacy";
}

/** Deployment and Services of the manager; its rights are those of `examples/install`. */
export function managerManifests(settings: ManagerSettings): readonly KubernetesObject[] {
  const labels = { app: managerName };
  const service = (name: string, port: number, targetPort: number): KubernetesObject => ({
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace: managerNamespace },
    spec: { selector: labels, ports: [{ port, targetPort }] },
  });
  return [
    service(wellKnown.managerService, ports.managerControl, ports.managerControl),
    service(wellKnown.webhookService, 443, ports.managerWebhook),
    {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name: managerName, namespace: managerNamespace },
      spec: {
        replicas: 1,
        strategy: { type: "Recreate" },
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            serviceAccountName: managerName,
            ...restrictedPod,
            containers: [
              {
                name: "manager",
                image: meshImage,
                imagePullPolicy: "Never",
                command: ["ctrlmesh", "manager"],
                args: [
                  `--proxy-image=${meshImage}`,
                  "--proxy-image-pull-policy=Never",
                  `--native-sidecars=${settings.nativeSidecars}`,
                  `--iptables-backend=${settings.iptablesBackend}`,
                ],
                env: [
                  field(environment.podName, "metadata.name"),
                  field(environment.podNamespace, "metadata.namespace"),
                  field(environment.podIp, "status.podIP"),
                ],
                readinessProbe: { httpGet: { path: "/readyz", port: ports.managerHttp }, periodSeconds: 1 },
                securityContext: restrictedContainer,
              },
            ],
          },
        },
      },
    },
  ];
}

/** Everything that Pod Security `restricted` asks for. */
export const restrictedPod = {
  securityContext: { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } },
};
export const restrictedContainer = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ["ALL"] },
};

/** A ShardingConfig that shows the pods with these labels the ConfigMaps of one namespace. */
export function shardingConfig(
  namespace: string,
  name: string,
  selector: Readonly<Record<string, string>>,
  shown: string,
): KubernetesObject {
  return {
    apiVersion: `${group}/v1alpha1`,
    kind: "ShardingConfig",
    metadata: { name, namespace },
    spec: {
      selector: { matchLabels: selector },
      limits: [
        {
          relateResources: [{ apiGroups: [""], resources: ["configmaps"] }],
          selector: { matchLabels: { [`${group}/namespace`]: shown } },
        },
      ],
    },
  };
}

interface OperatorPlace {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/** The Go operator, told of a kubeconfig that leads nowhere where `--kubeconfig` is given, and its rights. */
export function operatorDeployment(
  { namespace, labels, annotations }: OperatorPlace,
  args: readonly string[],
): KubernetesObject {
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "operator", namespace },
    spec: {
      replicas: 1,
      selector: { matchLabels: { app: "operator" } },
      template: {
        metadata: { labels: { app: "operator", ...labels }, annotations },
        spec: {
          serviceAccountName: accountName,
          terminationGracePeriodSeconds: 2,
          ...restrictedPod,
          containers: [
            {
              name: "operator",
              image: operatorImage,
              imagePullPolicy: "Never",
              args: ["--records=-", "--leader-election-id=operator", "--metrics-bind-address=0", ...args],
              env: [
                field(environment.podName, "metadata.name"),
                field(environment.podNamespace, "metadata.namespace"),
              ],
              readinessProbe: { httpGet: { path: "/readyz", port: 8081 }, periodSeconds: 1 },
              securityContext: restrictedContainer,
            },
          ],
        },
      },
    },
  };
}

/** A container that runs a program text on the Node of our image, as an ordinary user. */
export function nodeContainer(name: string, program: string): object {
  return {
    name,
    image: meshImage,
    imagePullPolicy: "Never",
    command: ["/usr/bin/node", "-e", program],
    env: [field(environment.podIp, "status.podIP")],
    // The image's own user is the proxy's.
    securityContext: { ...restrictedContainer, runAsUser: 1000 },
  };
}

export const accountName = "operator";

/** A namespace with the account of its operators, who may see and annotate all ConfigMaps. */
export function operatorNamespace(
  name: string,
  labels: Readonly<Record<string, string>>,
  annotations: Readonly<Record<string, string>>,
): readonly KubernetesObject[] {
  const rbac = "rbac.authorization.k8s.io";
  return [
    { apiVersion: "v1", kind: "Namespace", metadata: { name, labels, annotations } },
    { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: accountName, namespace: name } },
    {
      apiVersion: `${rbac}/v1`,
      kind: "ClusterRoleBinding",
      metadata: { name: `journey-${name}` },
      roleRef: { apiGroup: rbac, kind: "ClusterRole", name: operatorRole },
      subjects: [{ kind: "ServiceAccount", name: accountName, namespace: name }],
    },
  ];
}

const operatorRole = "journey-operator";

/** Rights of all operators of the journeys. */
export const operatorRights: KubernetesObject = {
  apiVersion: "rbac.authorization.k8s.io/v1",
  kind: "ClusterRole",
  metadata: { name: operatorRole },
  rules: [
    { apiGroups: [""], resources: ["configmaps"], verbs: ["get", "list", "watch", "patch"] },
    { apiGroups: ["coordination.k8s.io"], resources: ["leases"], verbs: ["get", "create", "update"] },
    { apiGroups: ["", "events.k8s.io"], resources: ["events"], verbs: ["create", "patch"] },
  ],
};

/** A namespace with a ConfigMap that the operator digests. */
export function sources(namespace: string): readonly KubernetesObject[] {
  return [
    { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } },
    {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "source", namespace, labels: { "example.com/source": "true" } },
      data: { text: namespace },
    },
  ];
}
