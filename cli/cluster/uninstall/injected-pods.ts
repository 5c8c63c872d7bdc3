import type { KubernetesObject } from "#api/meta";
import { annotations, labels } from "#api/names";
import type { CallOptions, KubeClient } from "#kube/client/client";
import { listAll } from "#kube/client/list-all";
import { isOptedIn } from "#webhook/opt-in";
import { kinds } from "../kinds.ts";

/** A pod with our proxy that has not ended. */
export interface InjectedPod {
  readonly namespace: string;
  readonly name: string;
  readonly shard: string;
  /** The pod asks for the proxy by its own label: it gets it again whatever its namespace says. */
  readonly asksItself: boolean;
  /** What makes it anew; undefined: nobody. */
  readonly owner: { readonly kind: string; readonly name: string } | undefined;
}

/**
 * Pods with a proxy whose containers run or can start again. Needs the right to list pods in all namespaces, and no
 * other.
 */
export async function readInjectedPods(
  client: KubeClient,
  call: CallOptions,
): Promise<readonly InjectedPod[]> {
  return await listInjected(client, call, { fieldSelector: "status.phase!=Succeeded,status.phase!=Failed" });
}

/** All of one namespace, those that have ended and are not gone yet included. */
export async function readInjectedPodsOf(
  client: KubeClient,
  namespace: string,
  call: CallOptions,
): Promise<readonly InjectedPod[]> {
  return await listInjected(client, call, { namespace });
}

async function listInjected(
  client: KubeClient,
  call: CallOptions,
  which: { readonly namespace?: string; readonly fieldSelector?: string },
): Promise<readonly InjectedPod[]> {
  const query = { ...which, labelSelector: labels.shardingConfigInjected, metadataOnly: true };
  const { objects } = await listAll(client, kinds.pods, query, call);
  return objects.map(injectedPod).sort((a, b) => (placeOf(a) < placeOf(b) ? -1 : 1));
}

function injectedPod({ metadata = {} }: KubernetesObject): InjectedPod {
  const { namespace = "", name = "", ownerReferences = [] } = metadata;
  const owner = ownerReferences.find(({ controller }) => controller === true);
  return {
    namespace,
    name,
    shard: metadata.labels?.[labels.shardingConfigInjected] ?? "",
    asksItself: metadata.labels?.[labels.enableProxy] === "true",
    owner: owner === undefined ? undefined : { kind: owner.kind, name: owner.name },
  };
}

export function placeOf({ namespace, name }: Pick<InjectedPod, "namespace" | "name">): string {
  return `${namespace}/${name}`;
}

/** Names of namespaces whose pods get the proxy. */
export async function readOptedIn(client: KubeClient, call: CallOptions): Promise<readonly string[]> {
  const { objects } = await listAll(client, kinds.namespaces, { metadataOnly: true }, call);
  return objects
    .filter(({ metadata = {} }) =>
      isOptedIn({ labels: metadata.labels ?? {}, annotations: metadata.annotations ?? {} }),
    )
    .map(({ metadata }) => metadata?.name ?? "");
}

/** Takes the opt-in off a namespace; what it says about modes stays. */
export async function optOut(client: KubeClient, namespace: string, call: CallOptions): Promise<void> {
  const body = {
    metadata: { annotations: { [annotations.enableProxy]: null }, labels: { [labels.enableProxy]: null } },
  };
  await client.patch(kinds.namespaces, { name: namespace }, { type: "merge", body }, call);
}
