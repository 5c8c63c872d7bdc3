import { acceptOf, decodeList, EventDecoder } from "./decode.ts";
import { pathOf, queryOf, type Scope } from "./scope.ts";
import { ask, isConnectionLoss, type OpenAnswer, type Transport } from "./transport.ts";
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
 * a minute and some 2 s before the timeout (`cacheWatcher.nextBookmarkTime`), never tell of a version that the watch
 * cache had when the watch began, and are dropped when the clock is late or the watcher's buffer is full. So one watch without any proves nothing, and this asks several times: whoever never
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
  const opened = await Promise.all(
    clients.map(async ({ way, client }) => ({ way, answer: await opensWatch(world, client) })),
  );
  // Bookmarks only tell of versions behind those that the watch cache had when the watch began.
  await world.writer.send("POST", touched, { metadata: { name: "touched" } });
  await world.writer.send("DELETE", `${touched}/touched`);
  const watched = await Promise.all(
    opened.map(async ({ way, answer }) => ({
      way,
      hasBookmark: answer && (await hasBookmark(world, answer)),
    })),
  );
  return new Map(
    watched.flatMap(({ way, hasBookmark }) =>
      hasBookmark === undefined ? [] : [[way, hasBookmark] as const],
    ),
  );
}

/** Undefined for a list or watch that was refused or cut. */
async function opensWatch({ signal }: World, client: Transport): Promise<OpenAnswer | undefined> {
  const list = await ask(client, pathOf(scope), acceptOf.json.list, signal);
  if (list?.status !== 200) return undefined;
  const resourceVersion = String(decodeList(list.body, "json").revision);
  const parameters = { watch: "1", allowWatchBookmarks: "true", timeoutSeconds, resourceVersion };
  const target = `${pathOf(scope)}?${queryOf(scope, parameters)}`;
  const answer = await unlessCut(signal, client.get(target, acceptOf.json.watch, signal));
  if (answer === undefined || answer.status === 200) return answer;
  answer.destroy();
  return undefined;
}

/** Undefined for a watch that was cut. */
function hasBookmark({ signal }: World, { body }: OpenAnswer): Promise<boolean | undefined> {
  const read = async (): Promise<boolean> => {
    const decoder = new EventDecoder("json");
    let isThere = false;
    for await (const chunk of body)
      for (const { type } of decoder.push(chunk)) isThere ||= type === "BOOKMARK";
    return isThere;
  };
  return unlessCut(signal, read());
}

async function unlessCut<T>(signal: AbortSignal, result: Promise<T>): Promise<T | undefined> {
  try {
    return await result;
  } catch (error) {
    if (signal.aborted || !isConnectionLoss(error)) throw error;
    return undefined;
  }
}
