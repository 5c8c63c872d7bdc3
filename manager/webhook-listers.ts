import { CtrlmeshError, toCtrlmeshError } from "#api/errors";
import type { KubernetesObject } from "#api/meta";
import { group } from "#api/names";
import { parseShardingConfig, type ShardingConfig } from "#api/sharding-config";
import type { Informer, KubeClient, ResourceKind } from "#kube/client/client";
import type {
  NamespaceFacts,
  NamespaceLister,
  ShardingConfigLister,
  UnreadableShardingConfig,
} from "#webhook/listers";

const namespaceKind: ResourceKind = { group: "", version: "v1", resource: "namespaces", namespaced: false };
const shardingConfigKind: ResourceKind = {
  group,
  version: "v1alpha1",
  resource: "shardingconfigs",
  namespaced: true,
};
const pageSize = 500;

/** Namespaces for admission: the informer's copy for labels, the API server for decisions about pods. */
export function namespaceLister(client: KubeClient, informer: Pick<Informer, "get">): NamespaceLister {
  return {
    cached: (name) => {
      const namespace = informer.get({ name });
      return namespace === undefined ? undefined : factsOf(namespace);
    },
    read: async (name, signal) => {
      try {
        return factsOf(await client.get(namespaceKind, { name }, { signal }));
      } catch (thrown) {
        if (thrown instanceof CtrlmeshError && thrown.code === "API_NOT_FOUND") return undefined;
        throw thrown;
      }
    },
  };
}

export function factsOf({ metadata = {} }: KubernetesObject): NamespaceFacts {
  return {
    name: metadata.name ?? "",
    labels: metadata.labels ?? {},
    annotations: metadata.annotations ?? {},
  };
}

/** ShardingConfigs of a namespace, read from the API server; what can't be parsed is told apart, not dropped. */
export function shardingConfigLister(client: KubeClient): ShardingConfigLister {
  return {
    read: async (namespace, signal) => {
      const configs: ShardingConfig[] = [];
      const unreadable: UnreadableShardingConfig[] = [];
      let continueToken: string | undefined;
      do {
        const page = await client.list(
          shardingConfigKind,
          { namespace, limit: pageSize, ...(continueToken === undefined ? {} : { continueToken }) },
          { signal },
        );
        for (const object of page.items) {
          try {
            configs.push(parseShardingConfig(object));
          } catch (thrown) {
            unreadable.push({ name: object.metadata?.name ?? "", problem: toCtrlmeshError(thrown).message });
          }
        }
        continueToken = page.continueToken;
      } while (continueToken !== undefined && continueToken !== "");
      return { configs, unreadable };
    },
  };
}
