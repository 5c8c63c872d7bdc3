import type { CallOptions, KubeClient } from "#kube/client/client";
import { discover, type ServedResource } from "#manager/sharding/discovery";
import { filteredKinds, unfilteredKinds } from "#manager/sharding/resource-patterns";
import type { CatalogView } from "#manager/sharding/shard-limits";

/** What the API server serves, judged by the manager's own rules. */
export interface ServedKinds extends CatalogView {
  readonly served: readonly ServedResource[];
  /** `<group>/<version>` whose server did not answer. */
  readonly unknown: readonly string[];
}

/** @throws what `discover` throws */
export async function readServedKinds(client: KubeClient, call: CallOptions): Promise<ServedKinds> {
  const { resources, unknown } = await discover(client, call);
  return servedKindsOf(resources, unknown);
}

export function servedKindsOf(
  served: readonly ServedResource[],
  unknown: readonly string[] = [],
): ServedKinds {
  return {
    served,
    unknown,
    resolve: (limits) => filteredKinds(limits, served),
    unfilteredFor: (limits) => unfilteredKinds(limits, served),
  };
}
