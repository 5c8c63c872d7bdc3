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
  return sorted(await listInjected(client, call, { fieldSelector: notEnded }));
}

/**
 * Those of one namespace that have not ended, or are on their way out and not gone yet. What has ended and nobody
 * deletes (an evicted pod of a Deployment, a Job's) stays for ever, and starts nothing any more.
 */
export async function readLivePodsOf(
  client: KubeClient,
  namespace: string,
  call: CallOptions,
): Promise<readonly InjectedPod[]> {
  const running = await listInjected(client, call, { namespace, fieldSelector: notEnded });
  const uids = new Set(running.map(({ metadata }) => metadata?.uid));
  const leaving = (await listInjected(client, call, { namespace })).filter(
    ({ metadata }) => metadata?.deletionTimestamp !== undefined && !uids.has(metadata.uid),
  );
  return sorted([...running, ...leaving]);
}

/** Field selector: pods with a container that runs or can start. */
export const notEnded = "status.phase!=Succeeded,status.phase!=Failed";

async function listInjected(
  client: KubeClient,
  call: CallOptions,
  which: { readonly namespace?: string; readonly fieldSelector?: string },
): Promise<readonly KubernetesObject[]> {
  const query = { ...which, labelSelector: labels.shardingConfigInjected, metadataOnly: true };
  return (await listAll(client, kinds.pods, query, call)).objects;
}

function sorted(objects: readonly KubernetesObject[]): readonly InjectedPod[] {
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
