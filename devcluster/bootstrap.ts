import { bootstrapRoles } from "./auth/bootstrap-roles.ts";
import { ownWrite } from "./controllers/namespace-controller.ts";
import { createObject } from "./rest/create.ts";
import type { ServerState } from "./server-state.ts";

const rbacGroup = "rbac.authorization.k8s.io";
const namespaces = ["default", "kube-node-lease", "kube-public", "kube-system"];

/** What is there before the first request: system namespaces and roles. */
export async function createBootstrapObjects(state: ServerState, signal: AbortSignal): Promise<void> {
  const create = async (group: string, resource: string, body: unknown): Promise<void> => {
    const definition = state.registry.find(group, "v1", resource);
    if (definition !== undefined) await createObject(state, ownWrite(definition, "", "", signal), body);
  };
  for (const name of namespaces) await create("", "namespaces", { metadata: { name } });
  const labels = { "kubernetes.io/bootstrapping": "rbac-defaults" };
  for (const { name, rules, groups } of bootstrapRoles) {
    await create(rbacGroup, "clusterroles", { metadata: { name, labels }, rules });
    await create(rbacGroup, "clusterrolebindings", {
      metadata: { name, labels },
      roleRef: { apiGroup: rbacGroup, kind: "ClusterRole", name },
      subjects: groups.map((group) => ({ kind: "Group", apiGroup: rbacGroup, name: group })),
    });
  }
}
