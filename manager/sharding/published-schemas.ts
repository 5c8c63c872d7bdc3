import { isRecord } from "#kube/client/api-error";
import type { CallOptions, KubeClient } from "#kube/client/client";
import type { Clock } from "#runtime/clock";
import type { ServedResource } from "./discovery.ts";

/** Every API server polls its schemas for policies; a kind counts when it was published for longer than that. */
const settleMs = 10_000;

/**
 * Since when `/openapi/v3` has had the schema of a kind, as far as we have looked. A policy that names a kind
 * without one makes the API server answer 503 to writes of it.
 */
export class PublishedSchemas {
  readonly #client: KubeClient;
  readonly #clock: Clock;
  readonly #seenAtMs = new Map<string, number>();
  /** Kinds that settled before we looked; each counts until it is seen or not asked for. */
  readonly #settledBefore: Set<string>;

  /**
   * @param settledBefore kinds (`kindIdentity`) that the policy in force names: an earlier leader has waited for them,
   *   and to wait again would take them out of it
   */
  constructor(client: KubeClient, clock: Clock, settledBefore: Iterable<string> = []) {
    this.#client = client;
    this.#clock = clock;
    this.#settledBefore = new Set(settledBefore);
  }

  /**
   * Splits kinds into those whose schema has been there for more than 10 s and those that must wait. Kinds that
   * are not asked for are forgotten: a CRD that comes back starts anew.
   *
   * @throws what `KubeClient.raw` throws
   */
  async split(
    kinds: readonly ServedResource[],
    call: CallOptions,
  ): Promise<{ readonly settled: readonly ServedResource[]; readonly waiting: readonly ServedResource[] }> {
    const asked = new Set(kinds.map(kindIdentity));
    for (const key of this.#seenAtMs.keys()) if (!asked.has(key)) this.#seenAtMs.delete(key);
    for (const key of this.#settledBefore) if (!asked.has(key)) this.#settledBefore.delete(key);
    const unseen = kinds.filter((kind) => !this.#seenAtMs.has(kindIdentity(kind)));
    if (unseen.length > 0) await this.#look(unseen, call);
    const now = this.#clock.monotonicMs();
    const isSettled = (kind: ServedResource) => {
      const seenAtMs = this.#seenAtMs.get(kindIdentity(kind));
      return seenAtMs !== undefined && now - seenAtMs > settleMs;
    };
    return { settled: kinds.filter(isSettled), waiting: kinds.filter((kind) => !isSettled(kind)) };
  }

  async #look(unseen: readonly ServedResource[], call: CallOptions): Promise<void> {
    const index = await this.#client.raw("GET", "/openapi/v3", undefined, call);
    const paths = isRecord(index) && isRecord(index.paths) ? index.paths : {};
    const groupVersions = new Map<string, ServedResource[]>();
    for (const kind of unseen) {
      const path = kind.group === "" ? `api/${kind.version}` : `apis/${kind.group}/${kind.version}`;
      groupVersions.set(path, [...(groupVersions.get(path) ?? []), kind]);
    }
    for (const [path, kinds] of groupVersions) {
      const entry = paths[path];
      const url = isRecord(entry) ? entry.serverRelativeURL : undefined;
      if (typeof url !== "string") continue;
      const published = kindsIn(await this.#client.raw("GET", url, undefined, call));
      for (const kind of kinds) {
        const name = `${kind.group}/${kind.version}/${kind.kind}`;
        if (published.has(name)) this.#seen(kindIdentity(kind));
      }
    }
  }

  #seen(key: string): void {
    const isSettled = this.#settledBefore.delete(key);
    this.#seenAtMs.set(key, isSettled ? Number.NEGATIVE_INFINITY : this.#clock.monotonicMs());
  }
}

/** `<group>/<version>/<kind>` of all schemas in an OpenAPI v3 document. */
function kindsIn(document: unknown): Set<string> {
  const components = isRecord(document) && isRecord(document.components) ? document.components : {};
  const schemas = isRecord(components.schemas) ? Object.values(components.schemas) : [];
  const names = schemas.flatMap((schema) => {
    const kinds = isRecord(schema) ? schema["x-kubernetes-group-version-kind"] : undefined;
    return Array.isArray(kinds) ? kinds.filter(isRecord) : [];
  });
  return new Set(names.map(({ group, version, kind }) => `${group}/${version}/${kind}`));
}

/** `<group>/<version>/<resource>`. */
export function kindIdentity({
  group,
  version,
  resource,
}: Pick<ServedResource, "group" | "version" | "resource">): string {
  return `${group}/${version}/${resource}`;
}
