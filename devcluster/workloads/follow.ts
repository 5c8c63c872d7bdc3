import type { KubernetesObject } from "#api/meta";
import type { Clock } from "#runtime/clock";
import type { Log } from "#runtime/log";
import type { WorkloadApi } from "./api.ts";

export interface FollowDependencies {
  readonly api: WorkloadApi;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
}

const retryMs = 200;

/**
 * Lists and watches one collection for as long as the signal allows. `onList` gets each full list (also after
 * a break), `onEvent` each change after it.
 */
export async function follow(
  path: string,
  observer: {
    onList(objects: readonly KubernetesObject[]): void;
    onEvent(type: string, object: KubernetesObject): void;
  },
  { api, clock, log, signal }: FollowDependencies,
): Promise<void> {
  while (!signal.aborted) {
    try {
      const { body } = await api.expect("GET", path);
      const items = (body.items ?? []) as readonly KubernetesObject[];
      observer.onList(items);
      const resourceVersion = body.metadata?.resourceVersion ?? "";
      for await (const { type, object } of api.watch(path, resourceVersion, signal)) {
        if (type === "ERROR") break;
        if (type !== "BOOKMARK") observer.onEvent(type, object);
      }
    } catch (error) {
      if (signal.aborted) return;
      log.debug("list and watch failed, starting over", { path, error });
    }
    // An aborted wait ends the loop; the condition above sees it.
    await clock.sleep(retryMs, signal).catch(() => undefined);
  }
}
