import type { KubernetesObject } from "#api/meta";
import { isApiError } from "./api-error.ts";
import type { CallOptions, KubeClient, ListPage, ListQuery, ResourceKind } from "./client.ts";

/** Small enough that a page neither blocks the event loop for long nor weighs on the server's memory. */
export const pageLimit = 500;

/** Expired continue tokens before the whole set is asked for at once, as client-go does. */
const pagedAttempts = 3;

export interface WholeList {
  readonly objects: readonly KubernetesObject[];
  /** The moment that the list shows; a watch goes on from here. */
  readonly resourceVersion: string;
}

/** Which objects, and what is kept of each. */
export type WholeQuery = Pick<ListQuery, "namespace" | "labelSelector" | "fieldSelector" | "metadataOnly"> & {
  readonly trim?: (object: KubernetesObject) => KubernetesObject;
};

/**
 * All objects of a kind, consistent as of one resourceVersion not older than the call: never from a lagging
 * watch cache, since resourceVersion is left unset. Read by pages; when a token expires on the way (etcd was
 * compacted) it starts again, the last time without pages.
 *
 * @throws API_EXPIRED and what `KubeClient.list` throws
 */
export async function listAll(
  client: KubeClient,
  kind: ResourceKind,
  query: WholeQuery,
  options: CallOptions,
): Promise<WholeList> {
  const { namespace, labelSelector, fieldSelector, metadataOnly, trim = (object) => object } = query;
  const filter = {
    ...(namespace === undefined ? {} : { namespace }),
    ...(labelSelector === undefined ? {} : { labelSelector }),
    ...(fieldSelector === undefined ? {} : { fieldSelector }),
    ...(metadataOnly === undefined ? {} : { metadataOnly }),
  };
  for (let attempt = 1; attempt < pagedAttempts; attempt++) {
    try {
      return await joinPages(
        (page) => client.list(kind, page, options),
        { ...filter, limit: pageLimit },
        trim,
      );
    } catch (failed) {
      if (!isApiError(failed, "API_EXPIRED")) throw failed;
    }
  }
  return await joinPages((page) => client.list(kind, page, options), filter, trim);
}

async function joinPages(
  list: (query: ListQuery) => Promise<ListPage>,
  query: ListQuery,
  trim: (object: KubernetesObject) => KubernetesObject,
): Promise<WholeList> {
  const objects: KubernetesObject[] = [];
  let continueToken: string | undefined;
  for (;;) {
    const page = await list(continueToken === undefined ? query : { ...query, continueToken });
    for (const object of page.items) objects.push(trim(object));
    continueToken = page.continueToken;
    if (continueToken === undefined) return { objects, resourceVersion: page.resourceVersion };
  }
}
