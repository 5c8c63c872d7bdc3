import type { ShardingConfig } from "#api/sharding-config";
import type { HostAndPort } from "#runtime/setting-types";

/** A namespace as far as admission looks at it. */
export interface NamespaceFacts {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

export interface NamespaceLister {
  /** From a local copy that may lag; undefined when it is not there (yet). */
  cached(name: string): NamespaceFacts | undefined;
  /**
   * Consistent read; undefined when there is none.
   *
   * @throws CtrlmeshError of the API client
   */
  read(name: string, signal: AbortSignal): Promise<NamespaceFacts | undefined>;
}

/** A ShardingConfig that could not be read, for example one that was stored before its CRD was strict. */
export interface UnreadableShardingConfig {
  readonly name: string;
  readonly problem: string;
}

export interface ShardingConfigLister {
  /**
   * Consistent read of a namespace: a config that was applied a moment before its pods counts.
   *
   * @throws CtrlmeshError of the API client
   */
  read(
    namespace: string,
    signal: AbortSignal,
  ): Promise<{
    readonly configs: readonly ShardingConfig[];
    readonly unreadable: readonly UnreadableShardingConfig[];
  }>;
}

export interface ApiServerAddresses {
  /**
   * Consistent read of the Service `kubernetes`: its addresses of all IP families, with the port of HTTPS.
   *
   * @throws CtrlmeshError of the API client
   */
  read(signal: AbortSignal): Promise<readonly HostAndPort[]>;
}

export interface NamespaceObjects {
  /**
   * Resolves when the ConfigMaps that injected pods mount are in the namespace.
   *
   * @throws CtrlmeshError of the API client
   */
  ensure(namespace: string, signal: AbortSignal): Promise<void>;
}
