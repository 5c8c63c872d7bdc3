import { setTimeout as wait } from "node:timers/promises";
import { isAtFloor } from "./answer-checks.ts";
import { acceptOf, decodeList, decodeStatus, type Encoding } from "./decode.ts";
import type { Random } from "./random.ts";
import { pathOf, queryOf, type Scope } from "./scope.ts";
import { ask, type WholeAnswer } from "./transport.ts";
import { resources } from "./view.ts";
import { Violation } from "./violation.ts";
import type { World } from "./world.ts";

const answerMs = 20_000;
const retryMs = 100;

/**
 * A client reads the first page of a list, something happens, and it asks for the next page. A `continue` token goes
 * with the parameters of its list (API concepts, "Retrieving large results sets in chunks"): under another view it is
 * refused with 410, and under the same one it goes on.
 */
export async function pageAcross(
  world: World,
  random: Random,
  happen: () => Promise<string>,
): Promise<string> {
  const { shard, upheavals, tally } = world;
  const scope: Scope = { resource: random.pick(resources), namespace: undefined, app: undefined };
  const timeline = shard.timelines[scope.resource];
  const way = random.pick(["h2", "http/1.1"] as const);
  const encoding = random.pick(["json", "protobuf"] as const);
  using client = world.connect(way);
  const page = (parameters: Record<string, string>): Promise<WholeAnswer> =>
    untilAnswered(world, () => {
      const target = `${pathOf(scope)}?${queryOf(scope, { limit: "1", ...parameters })}`;
      return ask(client, target, acceptOf[encoding].list, world.signal);
    });

  const startMs = performance.now();
  const first = await page({});
  const before = timeline.current;
  const drawn = await happen();
  const { continueToken, revision } = firstPage(first, encoding);
  if (continueToken === "") return `${drawn}; no second page of ${scope.resource}`;
  const next = await page({ continue: continueToken });
  const what = `${way}, ${encoding}, second page of a list as of ${revision}`;
  const isChanged = timeline.current !== before;
  if (isChanged && next.status !== 410)
    throw new Violation(what, scope.resource, `${next.status} under ${timeline.current.name}, not 410`);
  if (!isChanged && next.status !== 200) {
    const status = decodeStatus(next.body);
    const isExplained =
      next.status === 410 && (upheavals.hasHappenedSince(startMs) || isAtFloor(status, revision));
    if (!isExplained)
      throw new Violation(what, scope.resource, `${next.status} "${status.message}", and no switch`);
  }
  tally.add(`second pages ${isChanged ? "behind a switch" : "under the same view"} ${next.status}`);
  return `${drawn}; second page of ${scope.resource} ${next.status}`;
}

function firstPage(
  { status, body }: WholeAnswer,
  encoding: Encoding,
): { readonly continueToken: string; readonly revision: number } {
  return status === 200 ? decodeList(body, encoding) : { continueToken: "", revision: 0 };
}

/** Asks again while connections break and servers are not ready. */
async function untilAnswered(
  { signal }: World,
  attempt: () => Promise<WholeAnswer | undefined>,
): Promise<WholeAnswer> {
  const deadline = performance.now() + answerMs;
  for (;;) {
    const answer = await attempt();
    if (answer !== undefined && answer.status !== 429 && answer.status < 500) return answer;
    if (performance.now() > deadline) throw new Error(`no answer but ${answer?.status} for ${answerMs} ms`);
    await wait(retryMs, undefined, { signal });
  }
}
