import type { KubernetesObject, OwnerReference } from "#api/meta";
import { fieldManager } from "#api/names";
import { isApiError } from "#kube/client/api-error";
import type { KubeClient, ResourceKind } from "#kube/client/client";

const clusterRoleKind: ResourceKind = {
  group: "rbac.authorization.k8s.io",
  version: "v1",
  resource: "clusterroles",
  namespaced: false,
};
/** The role that the chart and the install files give the manager. */
const ownerName = "ctrlmesh-manager";

/**
 * The owner of webhook configurations and admission policies: the manager's own ClusterRole. Who takes the manager's
 * rights away takes these with them (the garbage collector does it), whether by `helm uninstall` or by hand; else a
 * webhook that fails closed would outlive whoever answers it.
 *
 * @returns undefined where there is no such role, or the manager may not see it: then they stay until deleted
 * @throws CtrlmeshError of the API client
 */
export async function readOwner(
  client: KubeClient,
  signal: AbortSignal,
): Promise<OwnerReference | undefined> {
  try {
    const { metadata } = await client.get(clusterRoleKind, { name: ownerName }, { signal });
    return metadata?.uid === undefined
      ? undefined
      : {
          apiVersion: `${clusterRoleKind.group}/${clusterRoleKind.version}`,
          kind: "ClusterRole",
          name: ownerName,
          uid: metadata.uid,
        };
  } catch (thrown) {
    if (isApiError(thrown, "API_NOT_FOUND") || isApiError(thrown, "API_FORBIDDEN")) return undefined;
    throw thrown;
  }
}

/** Server-side apply of a cluster-wide object: a write without difference changes nothing. */
export async function applyOwned(
  client: KubeClient,
  { kind, body }: { readonly kind: ResourceKind; readonly body: KubernetesObject },
  owner: OwnerReference | undefined,
  signal: AbortSignal,
): Promise<void> {
  const metadata = owner === undefined ? body.metadata : { ...body.metadata, ownerReferences: [owner] };
  const owned = { ...body, ...(metadata === undefined ? {} : { metadata }) };
  const name = metadata?.name ?? "";
  await client.patch(kind, { name }, { type: "apply", body: owned, force: true }, { signal, fieldManager });
}
