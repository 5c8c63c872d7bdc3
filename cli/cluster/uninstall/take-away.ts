import type { KubernetesObject } from "#api/meta";
import { finalizer, labels, wellKnown } from "#api/names";
import { isApiError } from "#kube/client/api-error";
import type { ObjectName, ResourceKind } from "#kube/client/client";
import { leaseSpecOf } from "#kube/client/lease-spec";
import { listAll } from "#kube/client/list-all";
import {
  mutatingBindingKind,
  mutatingPolicyKind,
  validatingBindingKind,
  validatingPolicyKind,
} from "#manager/sharding/admission-policy";
import { systemClock } from "#runtime/clock";
import { awaitCondition } from "../../await-condition.ts";
import { readIfThere } from "../check/read.ts";
import type { ClusterSession } from "../connection.ts";
import { kinds, managerPodSelector } from "../kinds.ts";
import type { MeshSettings } from "../mesh-settings.ts";
import { notEnded } from "./injected-pods.ts";

const webhook = (resource: string): ResourceKind => ({
  group: "admissionregistration.k8s.io",
  version: "v1",
  resource,
  namespaced: false,
});

const deployments: ResourceKind = { group: "apps", version: "v1", resource: "deployments", namespaced: true };

/** Cluster-scoped objects of the manager in the order in which they go: no binding without its policy is left. */
const clusterObjects: readonly (readonly [ResourceKind, readonly string[]])[] = [
  [webhook("mutatingwebhookconfigurations"), [wellKnown.mutatingWebhook]],
  [webhook("validatingwebhookconfigurations"), [wellKnown.validatingWebhook]],
  [
    validatingBindingKind,
    [
      `${wellKnown.requireProxyPolicy}-namespaces`,
      `${wellKnown.requireProxyPolicy}-pods`,
      wellKnown.protectLabelsPolicy,
    ],
  ],
  [validatingPolicyKind, [wellKnown.requireProxyPolicy, wellKnown.protectLabelsPolicy]],
  [mutatingBindingKind, [wellKnown.stampPolicy, wellKnown.optInPolicy]],
  [mutatingPolicyKind, [wellKnown.stampPolicy, wellKnown.optInPolicy]],
];

/** Webhooks and policies that are there, in the order in which they go. */
export async function presentClusterObjects({
  client,
  signal,
}: ClusterSession): Promise<readonly (readonly [ResourceKind, string])[]> {
  const found = await Promise.all(
    clusterObjects.flatMap(([kind, names]) =>
      names.map(async (name) => {
        const object = await readIfThere(client, kind, { name }, { signal });
        return object === undefined ? undefined : ([kind, name] as const);
      }),
    ),
  );
  return found.filter((each) => each !== undefined);
}

/** Deletes an object that may be gone already. */
export async function removeObject(
  kind: ResourceKind,
  name: ObjectName,
  { client, signal }: ClusterSession,
): Promise<void> {
  try {
    await client.delete(kind, name, { signal });
  } catch (thrown) {
    if (!isApiError(thrown, "API_NOT_FOUND")) throw thrown;
  }
}

/** How long a manager that runs needs at most to release a ShardingConfig without pods. */
const releaseMs = 40_000;

/**
 * Deletes all ShardingConfigs; the manager takes its finalizer off when nothing is held any more. With no pod left
 * there is nothing to be released: what no manager releases in time is released here.
 */
export async function removeShardingConfigs(session: ClusterSession): Promise<void> {
  const { client, signal, progress } = session;
  for (const kind of [kinds.shardingConfigs, kinds.ledgers]) {
    const { objects } = await listAll(client, kind, {}, { signal });
    // The manager removes ledgers itself, when nothing is recorded in them.
    if (kind === kinds.shardingConfigs)
      for (const object of objects) await removeObject(kind, nameOf(object), session);
    const isGone = await goneWithin(kind, releaseMs, session);
    if (isGone) continue;
    progress.note(`no manager releases ${kind.resource}: their finalizers are taken off`);
    for (const object of (await listAll(client, kind, {}, { signal })).objects) {
      await removeObject(kind, nameOf(object), session);
      await withoutFinalizer(kind, object, session);
    }
  }
}

async function goneWithin(
  kind: ResourceKind,
  ms: number,
  { client, signal }: ClusterSession,
): Promise<boolean> {
  const untilMs = systemClock.monotonicMs() + ms;
  for (;;) {
    const { items } = await client.list(kind, { limit: 1 }, { signal });
    if (items.length === 0) return true;
    if (systemClock.monotonicMs() > untilMs) return false;
    await systemClock.sleep(500, signal);
  }
}

async function withoutFinalizer(
  kind: ResourceKind,
  object: KubernetesObject,
  { client, signal }: ClusterSession,
): Promise<void> {
  const finalizers = (object.metadata?.finalizers ?? []).filter((each) => each !== finalizer);
  const patch = { type: "merge", body: { metadata: { finalizers } } } as const;
  try {
    await client.patch(kind, nameOf(object), patch, { signal });
  } catch (thrown) {
    if (!isApiError(thrown, "API_NOT_FOUND")) throw thrown;
  }
}

function nameOf({ metadata }: KubernetesObject): ObjectName {
  return { namespace: metadata?.namespace ?? "", name: metadata?.name ?? "" };
}

/**
 * Ends the manager: it would bring webhooks and policies back. Its Deployments are scaled to nothing, its pods must be
 * gone (one that ends gives the lease to the next, which leads until it ends too), and its lease must lapse.
 *
 * @throws TIMEOUT when a manager goes on that is no Deployment of its namespace
 */
export async function stopManager(
  { namespace }: Pick<MeshSettings, "namespace">,
  { client, signal }: ClusterSession,
  limitMs: number,
): Promise<void> {
  const { objects } = await listAll(
    client,
    deployments,
    { namespace, labelSelector: managerPodSelector },
    { signal },
  );
  for (const object of objects) {
    const patch = { type: "merge", body: { spec: { replicas: 0 } } } as const;
    await client.patch(deployments, nameOf(object), patch, { signal });
  }
  let renewedAt: string | undefined;
  let sinceMs = systemClock.monotonicMs();
  let holder = "";
  await awaitCondition(
    async () => {
      const query = {
        namespace,
        labelSelector: managerPodSelector,
        fieldSelector: notEnded,
        metadataOnly: true,
      };
      const [pod] = (await listAll(client, kinds.pods, query, { signal })).objects;
      holder = pod?.metadata?.name ?? holder;
      if (pod !== undefined) return undefined;
      const lease = await readIfThere(
        client,
        kinds.leases,
        { namespace, name: wellKnown.managerLease },
        { signal },
      );
      if (lease === undefined) return true;
      const { holderIdentity, leaseDurationSeconds = 15, renewTime } = leaseSpecOf(lease);
      holder = holderIdentity;
      if (renewTime !== renewedAt) [renewedAt, sinceMs] = [renewTime, systemClock.monotonicMs()];
      const isLapsed = systemClock.monotonicMs() - sinceMs > leaseDurationSeconds * 1000;
      return holderIdentity === "" || isLapsed ? true : undefined;
    },
    { limitMs, signal, missing: () => `${holder} goes on: end the manager` },
  );
}

/** What the manager put beside operators, and what it kept for itself. */
export async function removeRemains(
  { namespace }: Pick<MeshSettings, "namespace">,
  session: ClusterSession,
): Promise<void> {
  const { client, signal } = session;
  for (const name of [wellKnown.caBundleConfigMap, wellKnown.fakeKubeconfigConfigMap]) {
    // The names are not ours alone; the label is.
    const query = {
      fieldSelector: `metadata.name=${name}`,
      labelSelector: labels.watching,
      metadataOnly: true,
    };
    const { objects } = await listAll(client, kinds.configMaps, query, { signal });
    for (const object of objects) await removeObject(kinds.configMaps, nameOf(object), session);
  }
  await removeObject(kinds.leases, { namespace, name: wellKnown.managerLease }, session);
  for (const name of [wellKnown.caSecret, wellKnown.webhookCertificateSecret]) {
    await removeObject(kinds.secrets, { namespace, name }, session);
  }
  // At the end: it tells where the others are, so that a removal that breaks off goes on there.
  await removeObject(kinds.managerStates, { name: wellKnown.managerState }, session);
}
