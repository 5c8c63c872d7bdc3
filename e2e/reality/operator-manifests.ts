import type { KubernetesObject } from "#api/meta";
import { operatorNamespace } from "../flow/digest-operators.ts";

/** The Go operator as its users would install it; nothing in here knows of ctrlmesh. */

export const operatorName = "digest-operator";
export const operatorAccount = `system:serviceaccount:${operatorNamespace}:${operatorName}`;
export const sourceLabel = "example.com/source";
export const digestAnnotation = "example.com/digest";

const healthPort = 8081;
const named = { name: operatorName, namespace: operatorNamespace };
const subjects = [{ kind: "ServiceAccount", ...named }];

/**
 * Rights and pods, one pod for each shard. Each elects its leader under a name of its own.
 *
 * @param recordsFolder where each pod writes its records
 * @param variables more environment of the operator
 */
export function operatorManifests(
  replicas: number,
  recordsFolder: string,
  variables: Readonly<Record<string, string>>,
): readonly KubernetesObject[] {
  const rights = [
    { apiGroups: [""], resources: ["configmaps"], verbs: ["get", "list", "watch", "patch"] },
    { apiGroups: ["coordination.k8s.io"], resources: ["leases"], verbs: ["get", "create", "update"] },
    { apiGroups: ["", "events.k8s.io"], resources: ["events"], verbs: ["create", "patch"] },
  ];
  const rbac = "rbac.authorization.k8s.io";
  const roleRef = { apiGroup: rbac, kind: "ClusterRole", name: operatorName };
  return [
    { apiVersion: "v1", kind: "ServiceAccount", metadata: named },
    { apiVersion: `${rbac}/v1`, kind: "ClusterRole", metadata: { name: operatorName }, rules: rights },
    {
      apiVersion: `${rbac}/v1`,
      kind: "ClusterRoleBinding",
      metadata: { name: operatorName },
      roleRef,
      subjects,
    },
    statefulSet(replicas, container(recordsFolder, variables)),
  ];
}

function container(recordsFolder: string, variables: Readonly<Record<string, string>>): object {
  const field = (name: string, fieldPath: string) => ({ name, valueFrom: { fieldRef: { fieldPath } } });
  return {
    name: "operator",
    image: "operator-go",
    args: [
      `--records=${recordsFolder}/$(POD_NAME).jsonl`,
      "--leader-election-id=operator-go-$(POD_NAME)",
      "--metrics-bind-address=0",
      `--health-probe-bind-address=$(POD_IP):${healthPort}`,
    ],
    env: [
      field("POD_NAME", "metadata.name"),
      field("POD_NAMESPACE", "metadata.namespace"),
      field("POD_IP", "status.podIP"),
      ...Object.entries(variables).map(([name, value]) => ({ name, value })),
    ],
    readinessProbe: { httpGet: { path: "/readyz", port: healthPort }, periodSeconds: 1 },
  };
}

function statefulSet(replicas: number, operator: object): KubernetesObject {
  const labels = { app: operatorName };
  return {
    apiVersion: "apps/v1",
    kind: "StatefulSet",
    metadata: named,
    spec: {
      replicas,
      serviceName: operatorName,
      podManagementPolicy: "Parallel",
      updateStrategy: { type: "OnDelete" },
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        // No scheduler runs here.
        spec: { serviceAccountName: operatorName, nodeName: "node", containers: [operator] },
      },
    },
  };
}
