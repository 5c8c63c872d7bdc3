import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseAllDocuments } from "yaml";
import { CtrlmeshError } from "#api/errors";
import type { KubernetesObject } from "#api/meta";
import { fieldManager } from "#api/names";
import type { KubeClient, ResourceKind } from "#kube/client/client";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Objects of one YAML file of the project, path relative to its root. */
export function readManifests(path: string): readonly KubernetesObject[] {
  return parseAllDocuments(readFileSync(root + path, "utf8"))
    .map((document): unknown => document.toJS())
    .filter((object): object is KubernetesObject => typeof object === "object" && object !== null);
}

/** Objects of all YAML files of a folder. */
export function readManifestFolder(path: string): readonly KubernetesObject[] {
  return readdirSync(root + path)
    .filter((name) => name.endsWith(".yaml"))
    .sort()
    .flatMap((name) => readManifests(`${path}/${name}`));
}

/** Kinds that the demo's manifests hold. */
const kinds: Readonly<Record<string, ResourceKind>> = {
  "v1/Namespace": { group: "", version: "v1", resource: "namespaces", namespaced: false },
  "v1/ConfigMap": { group: "", version: "v1", resource: "configmaps", namespaced: true },
  "v1/ServiceAccount": { group: "", version: "v1", resource: "serviceaccounts", namespaced: true },
  "apps/v1/StatefulSet": { group: "apps", version: "v1", resource: "statefulsets", namespaced: true },
  "apiextensions.k8s.io/v1/CustomResourceDefinition": {
    group: "apiextensions.k8s.io",
    version: "v1",
    resource: "customresourcedefinitions",
    namespaced: false,
  },
  "rbac.authorization.k8s.io/v1/Role": rbac("roles", true),
  "rbac.authorization.k8s.io/v1/RoleBinding": rbac("rolebindings", true),
  "rbac.authorization.k8s.io/v1/ClusterRole": rbac("clusterroles", false),
  "rbac.authorization.k8s.io/v1/ClusterRoleBinding": rbac("clusterrolebindings", false),
  "ctrlmesh.kusionstack.io/v1alpha1/ShardingConfig": {
    group: "ctrlmesh.kusionstack.io",
    version: "v1alpha1",
    resource: "shardingconfigs",
    namespaced: true,
  },
};

function rbac(resource: string, namespaced: boolean): ResourceKind {
  return { group: "rbac.authorization.k8s.io", version: "v1", resource, namespaced };
}

/** The served resource of an object's kind. */
export function kindOf(object: KubernetesObject): ResourceKind {
  const kind = kinds[`${object.apiVersion}/${object.kind}`];
  if (kind !== undefined) return kind;
  throw new CtrlmeshError("INTERNAL", { what: `kind ${object.apiVersion}/${object.kind} is not known here` });
}

/** Server-side apply of each object, in order. */
export async function applyAll(
  client: KubeClient,
  objects: readonly KubernetesObject[],
  signal: AbortSignal,
): Promise<void> {
  for (const object of objects) {
    const { name = "", namespace } = object.metadata ?? {};
    await client.patch(
      kindOf(object),
      namespace === undefined ? { name } : { name, namespace },
      { type: "apply", body: object, force: true },
      { signal, fieldManager: `${fieldManager}-demo` },
    );
  }
}
