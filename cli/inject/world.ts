import { CtrlmeshError } from "#api/errors";
import { annotations, group, labels } from "#api/names";
import { parseShardingConfig, type ShardingConfig } from "#api/sharding-config";
import type { NamespaceFacts } from "#webhook/listers";
import { decideOptIn } from "#webhook/opt-in";
import type { Pod } from "#webhook/pod";
import type { Manifest } from "../manifests.ts";
import { type Fields, fieldsOf, objectsOf, textOf, textsOf } from "./fields.ts";
import { at } from "./place.ts";

/** What the user said by flags, in place of a cluster. */
export interface Wishes {
  /** Of objects that name none. */
  readonly namespace: string;
  readonly shard: string | undefined;
  /** Annotations that every namespace has, whatever the manifests say. */
  readonly annotations: Readonly<Record<string, string>>;
}

/** What would be in the cluster once the manifests were applied, as far as injection looks at it. */
export class World {
  readonly #wishes: Wishes;
  readonly #configs: readonly ShardingConfig[];
  readonly #namespaces: ReadonlyMap<string, NamespaceFacts>;

  /** @throws INVALID_RESOURCE for a ShardingConfig that is none, with file and document */
  constructor(manifests: readonly Manifest[], wishes: Wishes) {
    this.#wishes = wishes;
    const all = manifests.flatMap(({ place, value }) =>
      objectsOf(value).map((object) => ({ place, object })),
    );
    this.#configs = all
      .filter(({ object }) => isShardingConfig(object))
      .map(({ place, object }) => at(place, () => parseShardingConfig(this.#withNamespace(object))));
    const namespaces = all.flatMap(({ object }) =>
      object.kind === "Namespace" && object.apiVersion === "v1" ? [factsOf(object)] : [],
    );
    this.#namespaces = new Map(namespaces.map((namespace) => [namespace.name, namespace]));
  }

  /** A namespace as the manifests have it, and opted in: that is what the user asks about. */
  namespace(name = this.#wishes.namespace): NamespaceFacts {
    const given = this.#namespaces.get(name) ?? { name, labels: {}, annotations: {} };
    const optIn = { [annotations.enableProxy]: "true" };
    return { ...given, annotations: { ...given.annotations, ...this.#wishes.annotations, ...optIn } };
  }

  /**
   * The shard that a pod belongs to; undefined when it gets no proxy.
   *
   * @throws INVALID_FLAG when nothing tells of shards; INJECTION_REFUSED when the pod is undecided
   */
  shardOf({ metadata }: Pod, namespace: NamespaceFacts): string | undefined {
    const podLabels = metadata.labels ?? {};
    if (podLabels[labels.enableProxy] === "false") return undefined;
    if (this.#wishes.shard !== undefined) return this.#wishes.shard;
    if (this.#configs.length === 0) {
      throw new CtrlmeshError("INVALID_FLAG", {
        where: "--shard",
        what: "no shard is known",
        hint: "give the name of a ShardingConfig, or manifests with one that selects the pods",
      });
    }
    const configs = this.#configs.filter((config) => config.metadata.namespace === namespace.name);
    const answer = decideOptIn({ podLabels, namespace, configs, unreadable: [] });
    if (answer.kind === "refuse") throw new CtrlmeshError("INJECTION_REFUSED", answer);
    return answer.kind === "inject" ? answer.config.metadata.name : undefined;
  }

  /** The webhook that the shard's ShardingConfig names, if it is among the manifests. */
  webhookOf(shard: string, namespace: string): ShardingConfig["spec"]["webhook"] {
    return this.#configs.find(({ metadata }) => metadata.name === shard && metadata.namespace === namespace)
      ?.spec.webhook;
  }

  #withNamespace(object: Fields): Fields {
    return { ...object, metadata: { namespace: this.#wishes.namespace, ...fieldsOf(object.metadata) } };
  }
}

function isShardingConfig({ apiVersion, kind }: Fields): boolean {
  return kind === "ShardingConfig" && textOf(apiVersion)?.startsWith(`${group}/`) === true;
}

function factsOf({ metadata }: Fields): NamespaceFacts {
  const { name, labels: given, annotations: notes } = fieldsOf(metadata);
  return { name: textOf(name) ?? "", labels: textsOf(given), annotations: textsOf(notes) };
}
