import { CtrlmeshError } from "#api/errors";
import type { OwnerReference } from "#api/meta";
import { group } from "#api/names";
import type { ResourceKind } from "#kube/client/client";
import { listAll } from "#kube/client/list-all";
import { awaitCondition } from "../../await-condition.ts";
import { memberOf, textOf } from "../check/read.ts";
import type { ClusterSession } from "../connection.ts";
import { type InjectedPod, optOut, placeOf, readLivePodsOf } from "./injected-pods.ts";

const workload = (resource: string): ResourceKind => ({
  group: "apps",
  version: "v1",
  resource,
  namespaced: true,
});

/** Kinds that can be scaled to nothing and back. */
const scalable: Readonly<Record<string, ResourceKind>> = {
  StatefulSet: workload("statefulsets"),
  Deployment: workload("deployments"),
  ReplicaSet: workload("replicasets"),
};

/** On a workload that is being drained: the replicas that it had, so that a drain that broke off goes on. */
const replicasAnnotation = `${group}/drained-replicas`;

/** What makes injected pods anew. */
export interface Owner {
  readonly kind: "StatefulSet" | "Deployment" | "ReplicaSet";
  readonly namespace: string;
  readonly name: string;
}

/**
 * Pods that no drain can roll out: nothing makes them anew, or what does can't be scaled, or they ask for the proxy
 * themselves.
 */
export function notDrainable(pods: readonly InjectedPod[]): readonly InjectedPod[] {
  return pods.filter(
    ({ owner, asksItself }) => asksItself || owner === undefined || scalable[owner.kind] === undefined,
  );
}

/** Workloads that an earlier drain scaled down and did not scale up again. */
export async function interruptedOwners({ client, signal }: ClusterSession): Promise<Owner[]> {
  const found = await Promise.all(
    (["StatefulSet", "Deployment", "ReplicaSet"] as const).map(async (kind) => {
      const { objects } = await listAll(
        client,
        scalable[kind] ?? unknownKind(kind),
        { metadataOnly: true },
        { signal },
      );
      return (
        objects
          // A Deployment hands its annotations down to its ReplicaSets, where they stay.
          .filter(({ metadata = {} }) => metadata.ownerReferences?.some(isDeployment) !== true)
          .filter(({ metadata }) => metadata?.annotations?.[replicasAnnotation] !== undefined)
          .map(({ metadata }) => ({ kind, namespace: metadata?.namespace ?? "", name: metadata?.name ?? "" }))
      );
    }),
  );
  return found.flat();
}

function isDeployment({ kind, controller }: OwnerReference): boolean {
  return kind === "Deployment" && controller === true;
}

/**
 * The workloads of some pods, and those that a drain which broke off has left; that of a ReplicaSet is its Deployment.
 */
export async function ownersOf(
  pods: readonly InjectedPod[],
  session: ClusterSession,
): Promise<readonly Owner[]> {
  const { client, signal } = session;
  const owners = new Map<string, Owner>();
  for (const { namespace, owner } of pods) {
    if (owner === undefined) continue;
    let { kind, name } = owner;
    if (kind === "ReplicaSet") {
      const { metadata } = await client.get(workload("replicasets"), { namespace, name }, { signal });
      const parent = metadata?.ownerReferences?.find((each) => each.controller === true);
      if (parent?.kind === "Deployment") ({ kind, name } = parent);
    }
    if (kind === "StatefulSet" || kind === "Deployment" || kind === "ReplicaSet")
      owners.set(ownerText({ kind, namespace, name }), { kind, namespace, name });
  }
  for (const owner of await interruptedOwners(session)) owners.set(ownerText(owner), owner);
  return [...owners.values()];
}

/**
 * Rolls the operators of one namespace out without proxies: all of them down, the opt-in off, all of them up. Never
 * one after the other: a pod without a proxy acts on everything, so none may start while one with a proxy runs.
 *
 * @throws TIMEOUT when pods don't end, or don't become ready again
 */
export async function drainNamespace(
  namespace: string,
  owners: readonly Owner[],
  session: ClusterSession,
  limitMs: number,
): Promise<void> {
  const { client, signal, progress } = session;
  await progress.step(`${namespace}: ${owners.map(ownerText).join(", ")} scaled down`, async () => {
    for (const owner of owners) await scaleDown(owner, session);
    await endOfPods(namespace, session, limitMs);
  });
  await progress.step(`${namespace}: opted out`, async () => {
    await optOut(client, namespace, { signal });
    // Somebody else (an autoscaler, a deployment tool) may have scaled up meanwhile: nothing starts beside those pods.
    await endOfPods(namespace, session, limitMs);
  });
  await progress.step(`${namespace}: scaled up without proxies`, async () => {
    for (const owner of owners) await scaleUp(owner, session, limitMs);
  });
}

/** @throws TIMEOUT when some with a proxy are left */
async function endOfPods(
  namespace: string,
  { client, signal }: ClusterSession,
  limitMs: number,
): Promise<void> {
  let left: readonly InjectedPod[] = [];
  await awaitCondition(
    async () => {
      left = await readLivePodsOf(client, namespace, { signal });
      return left.length === 0 ? true : undefined;
    },
    { limitMs, signal, missing: () => `the end of ${left.map(placeOf).join(", ")}` },
  );
}

export function ownerText({ kind, namespace, name }: Owner): string {
  return `${kind} ${namespace}/${name}`;
}

async function scaleDown(
  { kind, namespace, name }: Owner,
  { client, signal }: ClusterSession,
): Promise<void> {
  const resource = scalable[kind] ?? unknownKind(kind);
  const object = await client.get(resource, { namespace, name }, { signal });
  const remembered = textOf(object.metadata?.annotations?.[replicasAnnotation]);
  const replicas = memberOf(object.spec, "replicas");
  const body = {
    metadata: { annotations: { [replicasAnnotation]: remembered ?? String(replicas ?? 1) } },
    spec: { replicas: 0 },
  };
  await client.patch(resource, { namespace, name }, { type: "merge", body }, { signal });
}

async function scaleUp(
  { kind, namespace, name }: Owner,
  { client, signal }: ClusterSession,
  limitMs: number,
): Promise<void> {
  const resource = scalable[kind] ?? unknownKind(kind);
  const { metadata } = await client.get(resource, { namespace, name }, { signal });
  const replicas = Number(metadata?.annotations?.[replicasAnnotation] ?? "1");
  const body = { metadata: { annotations: { [replicasAnnotation]: null } }, spec: { replicas } };
  await client.patch(resource, { namespace, name }, { type: "merge", body }, { signal });
  let ready: unknown = 0;
  await awaitCondition(
    async () => {
      const { status } = await client.get(resource, { namespace, name }, { signal });
      ready = memberOf(status, "readyReplicas") ?? 0;
      return typeof ready === "number" && ready >= replicas ? true : undefined;
    },
    {
      limitMs,
      signal,
      missing: () => `${ready} of ${replicas} pods of ${kind} ${namespace}/${name} are ready`,
    },
  );
}

function unknownKind(kind: string): never {
  throw new CtrlmeshError("INTERNAL", { what: `a ${kind} can't be scaled` });
}
