import { annotations, fieldManager, labels } from "#api/names";
import { isApiError } from "#kube/client/api-error";
import type { Informer, KubeClient } from "#kube/client/client";
import { runController } from "#kube/client/controller";
import type { ReflectorDeps } from "#kube/client/reflector";
import { WorkQueue } from "#kube/client/work-queue";
import { namespaceKind } from "./sharding/namespaces.ts";

export interface OptInMirrorDeps extends ReflectorDeps {
  readonly client: KubeClient;
  readonly namespaces: Informer;
  readonly signal: AbortSignal;
}

/**
 * Copies the opt-in annotation of namespaces to the label of the same key, which is all that a webhook's
 * namespaceSelector sees. Policy and webhook do it in the same request; this catches what was annotated while
 * neither was there. A label without an annotation is a user's own and stays.
 */
export async function mirrorOptIn(deps: OptInMirrorDeps): Promise<void> {
  const { namespaces, signal, log } = deps;
  using queue = new WorkQueue(deps);
  using _listening = namespaces.onChange(({ name, object }) => {
    if (object !== undefined) queue.add(name.name);
  });
  for (const { metadata } of namespaces.list()) if (metadata?.name !== undefined) queue.add(metadata.name);
  const reconcile = (name: string) => mirror(name, deps);
  await runController({ name: "opt-in of namespaces", queue, reconcile, workers: 2, signal, log });
}

async function mirror(name: string, { client, namespaces, signal }: OptInMirrorDeps): Promise<undefined> {
  const metadata = namespaces.get({ name })?.metadata;
  const annotation = metadata?.annotations?.[annotations.enableProxy];
  if (annotation === undefined || metadata?.deletionTimestamp !== undefined) return;
  const wanted = annotation === "true" ? "true" : "false";
  if (metadata?.labels?.[labels.enableProxy] === wanted) return;
  const body = { metadata: { labels: { [labels.enableProxy]: wanted } } };
  try {
    await client.patch(
      namespaceKind,
      { name },
      { type: "merge", body },
      { signal, fieldManager, metadataOnly: true },
    );
  } catch (failed) {
    if (!isApiError(failed, "API_NOT_FOUND")) throw failed; // deleted meanwhile
  }
}
