import { parseContinueToken, printContinueToken } from "../continue-token.ts";
import type { JsonObject } from "../json.ts";
import type { KubeObject } from "../kube-object.ts";
import { type ListOptions, matchesOptions } from "../list-options.ts";
import { keyOf, type ResourceDefinition, shown } from "../resource.ts";
import type { ServerState } from "../server-state.ts";
import { badRequest, expired, notFound, tooLargeResourceVersion } from "../status-error.ts";
import type { Stored } from "../storage.ts";

/** How long a list or watch waits for a resourceVersion from the future before it answers 504. */
const futureRevisionWaitMs = 3_000;

/** @throws StatusError 404 */
export function getObject(
  { storage }: ServerState,
  definition: ResourceDefinition,
  namespace: string,
  name: string,
): KubeObject {
  const stored = storage.get(definition.collection, keyOf(definition, namespace, name));
  if (stored === undefined) throw notFound(definition, name);
  return shown(definition, stored.object);
}

export interface ListResult {
  /** ListMeta. */
  readonly metadata: JsonObject;
  readonly objects: readonly KubeObject[];
}

/**
 * One page, or everything: consistent over all pages of one continue chain, as long as the history reaches back.
 *
 * @throws StatusError 410 Expired, 504 for a resourceVersion that does not come
 */
export async function listObjects(
  state: ServerState,
  definition: ResourceDefinition,
  namespace: string,
  options: ListOptions,
  signal: AbortSignal,
): Promise<ListResult> {
  if (options.resourceVersion !== undefined) await reachRevision(state, options.resourceVersion, signal);
  const { storage } = state;
  const { collection } = definition;
  const prefix = definition.namespaced && namespace !== "" ? `${namespace}/` : "";
  const point = startOf(state, definition, prefix, options);
  const all = storage.list(collection, prefix, point.revision);
  // resourceVersion=0 asks for whatever a cache holds; a cache does not page.
  const limit = options.resourceVersion === 0 && options.continueToken === "" ? 0 : options.limit;
  const objects: KubeObject[] = [];
  const from = `${prefix}${point.start}`;
  let index = point.start === "" ? 0 : indexFrom(all, from);
  for (; index < all.length && (limit <= 0 || objects.length < limit); index++) {
    const stored = all[index];
    if (stored === undefined) break;
    const object = shown(definition, stored.object);
    if (matchesOptions(options, definition, object)) objects.push(object);
  }
  return { metadata: listMeta(all, index, prefix, point.revision, options), objects };
}

function listMeta(
  all: readonly Stored[],
  index: number,
  prefix: string,
  revision: number,
  { labelSelector, fieldSelector }: ListOptions,
): JsonObject {
  const last = all[index - 1];
  if (index >= all.length || last === undefined) return { resourceVersion: String(revision) };
  // The NUL makes the next page start right after the last key, whatever is created in between.
  const start = `${last.key.slice(prefix.length)}\u0000`;
  const isFiltered = labelSelector.length > 0 || fieldSelector.length > 0;
  return {
    resourceVersion: String(revision),
    continue: printContinueToken({ revision, start }),
    // With a selector the rest would have to be filtered to be counted.
    ...(isFiltered ? {} : { remainingItemCount: all.length - index }),
  };
}

function startOf(
  { storage }: ServerState,
  { collection }: ResourceDefinition,
  _prefix: string,
  options: ListOptions,
): { revision: number; start: string } {
  const compacted = storage.compactedRevision(collection);
  if (options.continueToken !== "") {
    if (options.resourceVersion !== undefined && options.resourceVersion !== 0)
      throw badRequest("specifying resource version is not allowed when using continue");
    const { revision, start } = parseContinueToken(options.continueToken);
    if (revision < 0) return { revision: storage.revision, start };
    if (revision < compacted) {
      const message =
        "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.";
      throw expired(message, printContinueToken({ revision: -1, start }));
    }
    return { revision, start };
  }
  const { resourceVersion } = options;
  if (resourceVersion === undefined || !isExact(options)) return { revision: storage.revision, start: "" };
  if (resourceVersion < compacted) throw expired(`The resourceVersion for the provided list is too old.`);
  return { revision: resourceVersion, start: "" };
}

/** A page that names a resourceVersion without saying how means that very state. */
function isExact({ resourceVersion, resourceVersionMatch, limit }: ListOptions): boolean {
  return (
    resourceVersionMatch === "Exact" || (resourceVersionMatch === "" && resourceVersion !== 0 && limit > 0)
  );
}

function indexFrom(all: readonly Stored[], from: string): number {
  let low = 0;
  let high = all.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((all[middle]?.key ?? "") < from) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** @throws StatusError 504 when the server does not get there in time */
export async function reachRevision(
  { storage, clock }: ServerState,
  revision: number,
  signal: AbortSignal,
): Promise<void> {
  if (revision <= storage.revision) return;
  await new Promise<void>((resolve) => {
    const finish = (): void => {
      subscription[Symbol.dispose]();
      timer[Symbol.dispose]();
      signal.removeEventListener("abort", finish);
      resolve();
    };
    const subscription = storage.onChange((change) => {
      if (change.revision >= revision) finish();
    });
    const timer = clock.timer(futureRevisionWaitMs, finish);
    signal.addEventListener("abort", finish, { once: true });
  });
  if (revision > storage.revision) throw tooLargeResourceVersion(revision, storage.revision);
}
