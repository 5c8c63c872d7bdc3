import { type ManagerState, parseManagerState } from "#api/manager-state";
import { defaultExemptNamespaces, defaultShardLabels, wellKnown } from "#api/names";
import { isApiError } from "#kube/client/api-error";
import type { CallOptions, KubeClient } from "#kube/client/client";
import type { StampSettings } from "#webhook/stamp";
import { kinds } from "./kinds.ts";

/** How the mesh of a cluster is set up, as its leader published it. */
export interface MeshSettings extends StampSettings {
  /** Namespace of the manager. */
  readonly namespace: string;
  /** Version of the manager that leads; undefined where none has published one. */
  readonly version: string | undefined;
  /** Undefined: no manager has ever led here, and everything else is the defaults. */
  readonly state: ManagerState["status"];
}

/**
 * Reads the settings from ManagerState; without one (or without its kind) they are the defaults.
 *
 * @throws INVALID_RESOURCE when the ManagerState can't be read; what `KubeClient.get` throws but API_NOT_FOUND
 */
export async function readMeshSettings(client: KubeClient, call: CallOptions): Promise<MeshSettings> {
  const state = await readManagerState(client, call);
  const namespace = state?.namespace ?? wellKnown.defaultManagerNamespace;
  const { labels, hash, exemptNamespaces } = state?.sharding ?? {
    labels: defaultShardLabels,
    hash: "murmur3" as const,
    exemptNamespaces: [...defaultExemptNamespaces, namespace],
  };
  return { namespace, version: state?.version, state, shardLabels: labels, hash, exemptNamespaces };
}

async function readManagerState(client: KubeClient, call: CallOptions): Promise<ManagerState["status"]> {
  try {
    return parseManagerState(await client.get(kinds.managerStates, { name: wellKnown.managerState }, call))
      .status;
  } catch (thrown) {
    if (isApiError(thrown, "API_NOT_FOUND")) return undefined;
    throw thrown;
  }
}
