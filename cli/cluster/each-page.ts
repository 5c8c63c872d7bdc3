import type { KubernetesObject } from "#api/meta";
import { isApiError } from "#kube/client/api-error";
import type { CallOptions, KubeClient, ListQuery, ResourceKind } from "#kube/client/client";
import { pageLimit } from "#kube/client/list-all";

/** Times that a list may begin anew because its token expired on the way. */
const attempts = 3;

export interface PageVisitor {
  /** The list begins, for the first time or anew: what earlier pages gave does not count. */
  readonly onStart: () => void;
  readonly onPage: (objects: readonly KubernetesObject[]) => void;
}

/**
 * Metadata of all objects of a kind, page by page, consistent as of one resourceVersion; memory does not grow with
 * their number.
 *
 * @throws API_EXPIRED when the list took too long three times; what `KubeClient.list` throws
 */
export async function eachPage(
  client: KubeClient,
  kind: ResourceKind,
  query: Pick<ListQuery, "namespace" | "labelSelector">,
  visitor: PageVisitor,
  call: CallOptions,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    visitor.onStart();
    try {
      await pages(client, kind, query, visitor, call);
      return;
    } catch (thrown) {
      if (!isApiError(thrown, "API_EXPIRED") || attempt === attempts) throw thrown;
    }
  }
}

async function pages(
  client: KubeClient,
  kind: ResourceKind,
  query: Pick<ListQuery, "namespace" | "labelSelector">,
  { onPage }: PageVisitor,
  call: CallOptions,
): Promise<void> {
  let continueToken: string | undefined;
  do {
    const page = await client.list(
      kind,
      {
        ...query,
        limit: pageLimit,
        metadataOnly: true,
        ...(continueToken === undefined ? {} : { continueToken }),
      },
      call,
    );
    onPage(page.items);
    continueToken = page.continueToken;
  } while (continueToken !== undefined && continueToken !== "");
}
