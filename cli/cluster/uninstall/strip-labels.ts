import { CtrlmeshError } from "#api/errors";
import type { KubernetesObject } from "#api/meta";
import { isApiError } from "#kube/client/api-error";
import type { ResourceKind } from "#kube/client/client";
import { isLabelable } from "#manager/sharding/resource-patterns";
import { kindName, namespacedKind } from "#manager/sharding/stamp";
import { systemClock } from "#runtime/clock";
import type { ClusterSession } from "../connection.ts";
import { kinds } from "../kinds.ts";
import type { MeshSettings } from "../mesh-settings.ts";
import { readServedKinds } from "../served-kinds.ts";

const parallel = 16;
const pageLimit = 500;
/** API servers look at policies once a second: one that was deleted goes on to stamp for so long, and a bit more. */
const forgettingMs = 5_000;

/**
 * Takes the three shard labels off every object that has them. Only when nothing stamps any more: an admission policy
 * that is left would put them back in the same request.
 *
 * @returns how many objects were changed
 */
export async function stripLabels(settings: MeshSettings, session: ClusterSession): Promise<number> {
  const { served } = await readServedKinds(session.client, session);
  const labelled = new Map(served.filter(isLabelable).map((kind) => [kindName(kind), namespacedKind(kind)]));
  let stripped = 0;
  for (const [name, kind] of [...labelled, ["namespaces", kinds.namespaces] as const]) {
    stripped += await session.progress.step(`labels of ${name}`, () => stripKind(kind, settings, session));
  }
  return stripped;
}

/** Page after page from the start: what was stripped is no longer selected. */
async function stripKind(
  kind: ResourceKind,
  settings: MeshSettings,
  session: ClusterSession,
): Promise<number> {
  const { shardLabels } = settings;
  const { client, signal } = session;
  const query = { labelSelector: shardLabels.control, limit: pageLimit, metadataOnly: true };
  const body = {
    metadata: { labels: Object.fromEntries(Object.values(shardLabels).map((key) => [key, null])) },
  };
  let stripped = 0;
  let previous = "";
  let sinceMs = 0;
  for (;;) {
    const { items } = await listOrNothing(kind, query, session);
    if (items.length === 0) return stripped;
    const uids = items.map(({ metadata }) => metadata?.uid).join();
    if (uids !== previous) sinceMs = systemClock.monotonicMs();
    else if (systemClock.monotonicMs() - sinceMs > forgettingMs) throw comesBack(kind);
    else await systemClock.sleep(forgettingMs / 10, signal);
    previous = uids;
    const waiting = [...items];
    const work = async () => {
      for (let object = waiting.shift(); object !== undefined; object = waiting.shift()) {
        await patchIfThere(object, kind, body, { client, signal });
        stripped++;
      }
    };
    await Promise.all(Array.from({ length: parallel }, work));
  }
}

function comesBack(kind: ResourceKind): CtrlmeshError {
  return new CtrlmeshError("API_REQUEST_FAILED", {
    where: kind.resource,
    what: "the shard labels come back as soon as they are taken off",
    hint: "look for a policy, a webhook or a manager that sets them, and run it again",
  });
}

/** A kind that can't be listed, such as one of an aggregated API server that is down, keeps no other from its turn. */
async function listOrNothing(
  kind: ResourceKind,
  query: Parameters<ClusterSession["client"]["list"]>[1],
  { client, signal, progress }: ClusterSession,
): Promise<{ readonly items: readonly KubernetesObject[] }> {
  try {
    return await client.list(kind, query, { signal });
  } catch (thrown) {
    signal.throwIfAborted();
    progress.note(
      `labels of ${kind.resource} stay: ${thrown instanceof Error ? thrown.message : String(thrown)}`,
    );
    return { items: [] };
  }
}

async function patchIfThere(
  { metadata = {} }: KubernetesObject,
  kind: ResourceKind,
  body: unknown,
  { client, signal }: Pick<ClusterSession, "client" | "signal">,
): Promise<void> {
  const { namespace, name = "" } = metadata;
  const place = namespace === undefined ? { name } : { namespace, name };
  try {
    await client.patch(kind, place, { type: "merge", body }, { signal, metadataOnly: true });
  } catch (thrown) {
    if (!isApiError(thrown, "API_NOT_FOUND")) throw thrown;
  }
}
