import { acceptOf, decodeList, EventDecoder } from "./decode.ts";
import { pathOf, queryOf, type Scope } from "./scope.ts";
import { ask, isConnectionLoss, type Transport } from "./transport.ts";
import { Violation } from "./violation.ts";
import type { Way, World } from "./world.ts";

const scope: Scope = { resource: "configmaps", namespace: undefined, app: undefined };
const ways = ["direct", "h2", "http/1.1"] as const;
/** The watch cache's pre-timeout bookmark comes 2 s before the end, on a clock of 1 to 1.25 s. */
const timeoutSeconds = "4";
const rounds = 5;
/** Rounds in which one had none and the direct watch had one, before it counts. */
const proof = 3;
const touched = "/api/v1/namespaces/n1/configmaps";

/**
 * Watches by each way, side by side, that run into their timeout with a change behind their start.
 *
 * What is promised (KEP-956 "Watch Bookmarks", and API concepts): nothing about plain bookmarks. They come about once
 * a minute and some 2 s before the timeout (`cacheWatcher.nextBookmarkTime`), and are dropped when the clock is late or
 * the watcher's buffer is full. So one watch without any proves nothing, and this asks several times: whoever never
 * gets one while a direct watch beside it does is not told them. The bookmark with `k8s.io/initial-events-end`
 * (KEP-3157) is promised: `checkWatchEnd` holds each WatchList to it, and `StreamChecker` all bookmarks to their order.
 */
export async function compareBookmarks(world: World): Promise<void> {
  await world.writer.pause();
  const seen = new Set<Way>();
  const without = new Map<Way, number>();
  for (let round = 0; round < rounds && seen.size < ways.length; round++) {
    const watched = await oneRound(world);
    if (watched.get("direct") !== true) continue;
    for (const [way, hasBookmark] of watched) {
      if (hasBookmark) seen.add(way);
      else without.set(way, (without.get(way) ?? 0) + 1);
    }
    for (const [way, count] of without) {
      if (seen.has(way) || count < proof) continue;
      const what = `${count} watches came to their timeout without a bookmark, unlike those past the proxy`;
      throw new Violation(`twin watches (${way})`, scope.resource, what);
    }
  }
  for (const way of seen) world.tally.add(`twins with bookmarks ${way}`);
  world.writer.goOn();
}

/** Who of those whose watch ran to its end had a bookmark. */
async function oneRound(world: World): Promise<Map<Way, boolean>> {
  using stack = new DisposableStack();
  const clients = ways.map((way) => ({ way, client: stack.use(world.connect(way)) }));
  const starts = await Promise.all(clients.map(({ client }) => listed(world, client)));
  // The watch cache sends no bookmark at the version that a watch began with.
  const metadata = { name: "touched" };
  await world.writer.send("POST", touched, { metadata });
  await world.writer.send("DELETE", `${touched}/${metadata.name}`);
  const watched = await Promise.all(
    clients.map(async ({ way, client }, index) => {
      const from = starts[index];
      const hasBookmark = from === undefined ? undefined : await watchedFrom(world, client, from);
      return { way, hasBookmark };
    }),
  );
  return new Map(
    watched.flatMap(({ way, hasBookmark }) =>
      hasBookmark === undefined ? [] : [[way, hasBookmark] as const],
    ),
  );
}

async function listed({ signal }: World, client: Transport): Promise<string | undefined> {
  const answer = await ask(client, pathOf(scope), acceptOf.json.list, signal);
  return answer?.status === 200 ? String(decodeList(answer.body, "json").revision) : undefined;
}

/** Undefined for a watch that was refused or cut. */
async function watchedFrom(
  { signal }: World,
  client: Transport,
  resourceVersion: string,
): Promise<boolean | undefined> {
  const parameters = { watch: "1", allowWatchBookmarks: "true", timeoutSeconds, resourceVersion };
  try {
    const target = `${pathOf(scope)}?${queryOf(scope, parameters)}`;
    const answer = await client.get(target, acceptOf.json.watch, signal);
    if (answer.status !== 200) {
      answer.destroy();
      return undefined;
    }
    const decoder = new EventDecoder("json");
    let hasBookmark = false;
    for await (const chunk of answer.body)
      for (const { type } of decoder.push(chunk)) hasBookmark ||= type === "BOOKMARK";
    return hasBookmark;
  } catch (error) {
    if (signal.aborted || !isConnectionLoss(error)) throw error;
    return undefined;
  }
}
