import type { KubernetesObject } from "#api/meta";
import { isApiError } from "./api-error.ts";
import type { CallOptions, KubeClient, ListQuery, ResourceKind } from "./client.ts";

/** Small enough that a page neither blocks the event loop for long nor weighs on the server's memory. */
export const pageLimit = 500;

/** Expired continue tokens before the whole set is asked for at once, as client-go does. */
const pagedAttempts = 3;

export interface WholeList {
  readonly objects: readonly KubernetesObject[];
  /** The moment that the list shows; a watch goes on from here. */
  readonly resourceVersion: string;
}

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
  query: Omit<ListQuery, "limit" | "continueToken" | "resourceVersion" | "resourceVersionMatch">,
  options: CallOptions,
): Promise<WholeList> {
  for (let attempt = 1; attempt < pagedAttempts; attempt++) {
    try {
      return await listPages(client, kind, { ...query, limit: pageLimit }, options);
    } catch (failed) {
      if (!isApiError(failed, "API_EXPIRED")) throw failed;
    }
  }
  return await listPages(client, kind, query, options);
}

async function listPages(
  client: KubeClient,
  kind: ResourceKind,
  query: ListQuery,
  options: CallOptions,
): Promise<WholeList> {
  const objects: KubernetesObject[] = [];
  let continueToken: string | undefined;
  for (;;) {
    const page = await client.list(
      kind,
      continueToken === undefined ? query : { ...query, continueToken },
      options,
    );
    objects.push(...page.items);
    continueToken = page.continueToken;
    if (continueToken === undefined) return { objects, resourceVersion: page.resourceVersion };
  }
}
