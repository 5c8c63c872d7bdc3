import type { RequestInfo } from "#kube/wire/request-info";
import type { CompiledSnapshot } from "../snapshot.ts";

/** Subresources through which a request acts whatever its method says. */
const actingSubresources: ReadonlySet<string> = new Set(["exec", "attach", "portforward", "proxy"]);

/**
 * Whether a request may change something. What is not known to be a read counts as a write: unknown methods,
 * and connections that upgrade on a subresource we don't know (consoles of virtual machines and the like).
 */
export function isMutation(info: RequestInfo, isUpgrade: boolean): boolean {
  if (!info.isResource) return false;
  if (info.verb !== "get" && info.verb !== "list" && info.verb !== "watch") return true;
  if (info.subresource === "") return false;
  return actingSubresources.has(info.subresource) || (isUpgrade && info.subresource !== "log");
}

/**
 * Why the write fence refuses a mutation, undefined when it doesn't (`ownership.md` section 5). It can judge by
 * namespace alone: what has none passes, but for a deletion over all namespaces. There the selector is no
 * help, since the view that it describes may still hold what has moved away.
 */
export function fenceRefusal(info: RequestInfo, snapshot: CompiledSnapshot): string | undefined {
  if (!snapshot.hasFence || isExempt(info)) return undefined;
  const holder = `shard "${snapshot.shard}" (epoch ${snapshot.epoch})`;
  if (info.namespace === "") {
    return info.verb === "deletecollection"
      ? `namespaces have moved away from ${holder}: a deletion over all namespaces is refused until this process is replaced; delete by namespace`
      : undefined;
  }
  return snapshot.isFenced(info.namespace)
    ? `namespace "${info.namespace}" has moved away from ${holder}: writes to it are refused until this process is replaced`
    : undefined;
}

/** Leader election, what an operator reports about itself, and questions that change nothing. */
function isExempt({ apiGroup, resource }: RequestInfo): boolean {
  switch (apiGroup) {
    case "coordination.k8s.io":
      return resource === "leases";
    case "":
    case "events.k8s.io":
      return resource === "events";
    case "authorization.k8s.io":
    case "authentication.k8s.io":
      return true;
    default:
      return false;
  }
}
