import { fieldManager } from "#api/names";
import { isApiError } from "#kube/client/api-error";
import type { Informer, KubeClient } from "#kube/client/client";
import { runController } from "#kube/client/controller";
import type { ReflectorDeps } from "#kube/client/reflector";
import { WorkQueue } from "#kube/client/work-queue";
import type { StampSettings } from "#webhook/stamp";
import { labelDifference, labelPatch, wantedLabels } from "./stamp.ts";

export const namespaceKind = { group: "", version: "v1", resource: "namespaces", namespaced: false };

export interface NamespaceLabelsDeps extends ReflectorDeps {
  readonly client: KubeClient;
  /** Of all namespaces; metadata is enough. */
  readonly namespaces: Informer;
  readonly settings: StampSettings;
  readonly signal: AbortSignal;
  /**
   * Told when a namespace had another value of a shard label: objects stamped meanwhile carry it too, so
   * their namespace is to be audited now.
   */
  readonly onCorrected?: (namespace: string) => void;
}

/**
 * Keeps the shard labels of all namespaces right until the signal aborts: sets missing ones, corrects wrong ones,
 * since the bucket comes from the name and a wrong label would route all objects of the namespace wrongly.
 * Exempt and terminating namespaces are never touched.
 */
export async function keepNamespaceLabels(deps: NamespaceLabelsDeps): Promise<void> {
  const { namespaces, signal, log } = deps;
  using queue = new WorkQueue(deps);
  using _listening = namespaces.onChange(({ name, object }) => {
    if (object !== undefined) queue.add(name.name);
  });
  for (const { metadata } of namespaces.list()) if (metadata?.name !== undefined) queue.add(metadata.name);
  const reconcile = (name: string) => labelNamespace(name, deps);
  await runController({ name: "namespace labels", queue, reconcile, workers: 4, signal, log });
}

async function labelNamespace(name: string, deps: NamespaceLabelsDeps): Promise<undefined> {
  const { client, namespaces, settings, signal, log } = deps;
  const metadata = namespaces.get({ name })?.metadata;
  if (metadata === undefined || metadata.deletionTimestamp !== undefined) return;
  const difference = labelDifference(metadata.labels, wantedLabels(name, settings));
  if (difference === undefined) return;
  const wrong = Object.keys(difference).filter((key) => metadata.labels?.[key] !== undefined);
  try {
    const options = { signal, fieldManager, metadataOnly: true };
    await client.patch(namespaceKind, { name }, labelPatch(difference), options);
  } catch (failed) {
    if (isApiError(failed, "API_NOT_FOUND")) return; // deleted meanwhile
    throw failed;
  }
  if (wrong.length === 0) return;
  log.warn("wrong shard labels of a namespace were corrected", { namespace: name, keys: wrong });
  deps.onCorrected?.(name);
}
