import { Grant } from "#api/gen/ctrlmesh/v1/control_pb";
import type { SnapshotManager } from "../proxied/snapshot-manager.ts";
import type { EtcdHistory } from "./etcd-history.ts";
import { type Resource, resources, selectorOf, type View, ViewTimeline } from "./view.ts";

export type Views = Readonly<Record<Resource, View>>;

export function byResource<T>(make: (resource: Resource) => T): Readonly<Record<Resource, T>> {
  return Object.fromEntries(resources.map((resource) => [resource, make(resource)])) as Record<Resource, T>;
}

/** What the manager tells the proxy, and when it came into force. */
export class Shard {
  readonly timelines = byResource(() => new ViewTimeline());
  readonly #manager: SnapshotManager;
  readonly #history: EtcdHistory;

  constructor(manager: SnapshotManager, history: EtcdHistory) {
    this.#manager = manager;
    this.#history = history;
  }

  /** Sends a snapshot; resolves behind its ack. */
  async show(views: Views, fenced: readonly string[] = []): Promise<void> {
    const before = await this.#history.revision();
    for (const resource of resources) this.timelines[resource].sending(views[resource], before);
    const isGranted = resources.every((resource) => views[resource].kind !== "nothing");
    await this.#manager.show({
      grant: isGranted ? Grant.GRANTED : Grant.NOT_GRANTED,
      limits: resources
        .filter((resource) => views[resource].kind === "teams")
        .map((resource) => ({ groups: [""], resources: [resource], selector: selectorOf(views[resource]) })),
      unfilteredNamespaces: ["op"],
      fence: { namespaces: [...fenced] },
    });
    const ackedAtMs = performance.now();
    for (const resource of resources) this.timelines[resource].acked(ackedAtMs);
  }
}
