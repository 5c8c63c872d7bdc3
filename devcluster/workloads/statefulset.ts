import { createHash } from "node:crypto";
import type { KubernetesObject, ObjectMeta } from "#api/meta";
import type { WorkloadApi } from "./api.ts";
import { type FollowDependencies, follow } from "./follow.ts";

interface StatefulSet {
  readonly metadata: ObjectMeta & { readonly name: string; readonly namespace: string; readonly uid: string };
  readonly spec: {
    readonly replicas?: number;
    readonly selector?: { readonly matchLabels?: Readonly<Record<string, string>> };
    readonly template: { readonly metadata?: ObjectMeta; readonly spec: Readonly<Record<string, unknown>> };
    readonly podManagementPolicy?: "OrderedReady" | "Parallel";
    readonly updateStrategy?: { readonly type?: "RollingUpdate" | "OnDelete" };
  };
}

interface SetPod extends KubernetesObject {
  readonly metadata: ObjectMeta & { readonly name: string; readonly uid: string };
}

const settleMs = 20;

/**
 * Keeps the pods of every StatefulSet: stable names `<set>-<ordinal>`, the labels that Kubernetes gives them,
 * one ControllerRevision per template, both update strategies, ordered or parallel start.
 */
export async function runStatefulSets(deps: FollowDependencies): Promise<void> {
  const sets = new Map<string, StatefulSet>();
  const pods = new Map<string, SetPod>();
  const wake = new Wake();
  const observe = <T extends KubernetesObject>(copy: Map<string, T>) => ({
    onList: (objects: readonly KubernetesObject[]) => {
      copy.clear();
      for (const object of objects) copy.set(object.metadata?.uid ?? "", object as T);
      wake.up();
    },
    onEvent: (type: string, object: KubernetesObject) => {
      if (type === "DELETED") copy.delete(object.metadata?.uid ?? "");
      else copy.set(object.metadata?.uid ?? "", object as T);
      wake.up();
    },
  });
  const following = [
    follow("/apis/apps/v1/statefulsets", observe(sets as unknown as Map<string, KubernetesObject>), deps),
    follow("/api/v1/pods", observe(pods as unknown as Map<string, KubernetesObject>), deps),
  ];
  while (!deps.signal.aborted) {
    await wake.wait(deps.signal);
    await deps.clock.sleep(settleMs, deps.signal).catch(() => undefined);
    for (const set of sets.values()) {
      if (deps.signal.aborted) break;
      const own = [...pods.values()].filter((pod) => ownedBy(pod, set.metadata.uid));
      await reconcile(set, own, deps.api).catch((error: unknown) => {
        deps.log.debug("StatefulSet not reconciled, trying again", { name: set.metadata.name, error });
        deps.clock.timer(200, () => wake.up());
      });
    }
  }
  await Promise.all(following);
}

/** One pass over one set; level-based, so a pass may be repeated at any time. */
export async function reconcile(set: StatefulSet, pods: readonly SetPod[], api: WorkloadApi): Promise<void> {
  if (set.metadata.deletionTimestamp !== undefined) return;
  const revision = await ensureRevision(set, api);
  const replicas = set.spec.replicas ?? 1;
  const byOrdinal = new Map(pods.map((pod) => [ordinalOf(set, pod), pod]));
  const ordered = set.spec.podManagementPolicy !== "Parallel";
  for (let ordinal = 0; ordinal < replicas; ordinal++) {
    const pod = byOrdinal.get(ordinal);
    if (pod === undefined) await createPod(set, ordinal, revision, api);
    if (ordered && !isReady(pod)) break;
  }
  const surplus = pods.filter((pod) => ordinalOf(set, pod) >= replicas);
  for (const pod of surplus) await removePod(set, pod, api);
  if (set.spec.updateStrategy?.type !== "OnDelete") await rollOne(set, pods, revision, api);
  await writeStatus(set, pods, revision, api);
}

/** RollingUpdate: replaces the outdated pod with the highest ordinal, once all others are ready. */
async function rollOne(
  set: StatefulSet,
  pods: readonly SetPod[],
  revision: string,
  api: WorkloadApi,
): Promise<void> {
  const outdated = pods.filter((pod) => revisionOf(pod) !== revision);
  const last = outdated.sort((a, b) => ordinalOf(set, b) - ordinalOf(set, a))[0];
  const othersReady = pods.every((pod) => pod === last || isReady(pod));
  if (last !== undefined && othersReady) await removePod(set, last, api);
}

async function createPod(
  set: StatefulSet,
  ordinal: number,
  revision: string,
  api: WorkloadApi,
): Promise<void> {
  const { name, namespace, uid } = set.metadata;
  const template = set.spec.template;
  await api.expect(
    "POST",
    `/api/v1/namespaces/${namespace}/pods`,
    {
      apiVersion: "v1",
      kind: "Pod",
      metadata: {
        name: `${name}-${ordinal}`,
        namespace,
        annotations: template.metadata?.annotations,
        labels: {
          ...template.metadata?.labels,
          "apps.kubernetes.io/pod-index": String(ordinal),
          "controller-revision-hash": revision,
          "statefulset.kubernetes.io/pod-name": `${name}-${ordinal}`,
        },
        ownerReferences: [
          {
            apiVersion: "apps/v1",
            kind: "StatefulSet",
            name,
            uid,
            controller: true,
            blockOwnerDeletion: true,
          },
        ],
      },
      spec: { ...template.spec, hostname: `${name}-${ordinal}` },
    },
    // 409: a pod of that name still terminates.
    [409],
  );
}

async function removePod(set: StatefulSet, pod: SetPod, api: WorkloadApi): Promise<void> {
  if (pod.metadata.deletionTimestamp !== undefined) return;
  const path = `/api/v1/namespaces/${set.metadata.namespace}/pods/${pod.metadata.name}`;
  await api.expect("DELETE", path, { preconditions: { uid: pod.metadata.uid } }, [404, 409]);
}

/** The revision's name for the current template; made when it is new. */
async function ensureRevision(set: StatefulSet, api: WorkloadApi): Promise<string> {
  const { name, namespace, uid } = set.metadata;
  const text = JSON.stringify(set.spec.template);
  const revision = `${name}-${createHash("sha256").update(text).digest("hex").slice(0, 10)}`;
  const path = `/apis/apps/v1/namespaces/${namespace}/controllerrevisions`;
  const { status } = await api.expect("GET", `${path}/${revision}`, undefined, [404]);
  if (status === 404) {
    await api.expect(
      "POST",
      path,
      {
        apiVersion: "apps/v1",
        kind: "ControllerRevision",
        metadata: {
          name: revision,
          namespace,
          labels: set.spec.selector?.matchLabels,
          ownerReferences: [{ apiVersion: "apps/v1", kind: "StatefulSet", name, uid, controller: true }],
        },
        data: { spec: { template: set.spec.template } },
        revision: set.metadata.generation ?? 1,
      },
      [409],
    );
  }
  return revision;
}

async function writeStatus(
  set: StatefulSet & { readonly status?: unknown },
  pods: readonly SetPod[],
  revision: string,
  api: WorkloadApi,
): Promise<void> {
  const updated = pods.filter((pod) => revisionOf(pod) === revision).length;
  const ready = pods.filter(isReady).length;
  const status = {
    observedGeneration: set.metadata.generation,
    replicas: pods.length,
    readyReplicas: ready,
    availableReplicas: ready,
    updatedReplicas: updated,
    currentReplicas: updated,
    currentRevision:
      updated === pods.length ? revision : (pods.map(revisionOf).find((one) => one !== revision) ?? revision),
    updateRevision: revision,
  };
  const previous = set.status ?? {};
  if (Object.entries(status).every(([key, value]) => (previous as Record<string, unknown>)[key] === value))
    return;
  const path = `/apis/apps/v1/namespaces/${set.metadata.namespace}/statefulsets/${set.metadata.name}/status`;
  await api.expect("PATCH", path, { status }, [404, 409]);
}

function ownedBy(pod: SetPod, uid: string): boolean {
  return (
    pod.metadata.ownerReferences?.some((owner) => owner.uid === uid && owner.controller === true) === true
  );
}

function ordinalOf(set: StatefulSet, pod: SetPod): number {
  return Number(pod.metadata.name.slice(set.metadata.name.length + 1));
}

function revisionOf(pod: SetPod): string | undefined {
  return pod.metadata.labels?.["controller-revision-hash"];
}

function isReady(pod: SetPod | undefined): boolean {
  const status = pod?.status as { conditions?: { type: string; status: string }[] } | undefined;
  if (pod === undefined || pod.metadata.deletionTimestamp !== undefined) return false;
  return status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") === true;
}

/** Remembers that something changed until somebody waits for it. */
class Wake {
  #pending = false;
  #resolve: (() => void) | undefined;

  up(): void {
    this.#pending = true;
    this.#resolve?.();
  }

  async wait(signal: AbortSignal): Promise<void> {
    if (!this.#pending && !signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#resolve = resolve;
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
    }
    this.#pending = false;
    this.#resolve = undefined;
  }
}
