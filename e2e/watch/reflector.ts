import { setTimeout as wait } from "node:timers/promises";
import { checkList, checkRefusal, checkWatchEnd, type RequestTimes } from "./answer-checks.ts";
import {
  acceptOf,
  decodeList,
  decodeStatus,
  type Encoding,
  EventDecoder,
  type SeenList,
  type SeenStatus,
} from "./decode.ts";
import type { EtcdHistory } from "./etcd-history.ts";
import type { Random } from "./random.ts";
import { pathOf, queryOf, type Scope } from "./scope.ts";
import { StreamChecker } from "./stream-checker.ts";
import { StreamRun } from "./stream-run.ts";
import type { Tally } from "./tally.ts";
import { isConnectionLoss, lossOf, type OpenAnswer, readAll, type Transport } from "./transport.ts";
import type { Upheavals } from "./upheavals.ts";
import type { ViewTimeline } from "./view.ts";

/** How a client comes to its first state: client-go's ways, by version and settings. */
export type Start = "any version" | "consistent list" | "pages" | "WatchList";

export interface ReflectorOptions {
  readonly name: string;
  readonly scope: Scope;
  /** What it asks for itself instead of a shard's view, past the proxy. */
  readonly selector?: string;
  readonly encoding: Encoding;
  readonly start: Start;
  readonly transport: Transport;
  readonly timeline: ViewTimeline;
  readonly history: EtcdHistory;
  readonly upheavals: Upheavals;
  readonly tally: Tally;
  readonly random: Random;
}

/** Much shorter than client-go's 0.8 to 30 s: a run shall see many relists. */
const backoffMs = { min: 20, max: 300 };
/** At most, whatever was asked for: else most of a run were spent on waiting. */
const retryAfterMs = 500;
const pageSize = 3;
/** A request without an answer or a watch without a byte for this long is given up, as by a client's HTTP/2 ping. */
const silenceMs = 15_000;

/** What happens behind an answer. */
type Next = "relist" | "rewatch";

/**
 * A client like client-go's reflector (`tools/cache/reflector.go`): lists, watches from the list's resourceVersion,
 * goes on from the last event or bookmark, lists anew after a 410. All that it is told is checked on the way.
 */
export class Reflector {
  readonly options: ReflectorOptions;
  #store = new Map<string, number>();
  /** Where a watch goes on; 0 before the first list. */
  #revision = 0;
  /** When the request of the last list was sent. */
  #listedAtMs = 0;
  /** Of the state that the store is in: handed out since the last list. */
  #handedOut: number[] = [];
  #failures = 0;
  #isExpired = false;
  #open: StreamChecker | undefined;
  /** The last thing that happened, for a failure's report. */
  doing = "";

  constructor(options: ReflectorOptions) {
    this.options = options;
  }

  get store(): ReadonlyMap<string, number> {
    return this.#store;
  }

  get revision(): number {
    return this.#revision;
  }

  /** @throws Violation when a watch is open that should have been ended */
  checkOpenWatch(): void {
    this.#open?.stillOpen();
  }

  /** Until the signal fires. @throws Violation */
  async run(signal: AbortSignal): Promise<void> {
    let next: Next = "relist";
    while (!signal.aborted) {
      try {
        if (next === "relist")
          next =
            this.options.start === "WatchList" ? await this.#watchList(signal) : await this.#list(signal);
        else next = await this.#watch(signal);
      } catch (error) {
        if (signal.aborted) return;
        if (!isConnectionLoss(error)) throw error;
        this.options.tally.add(`connections lost ${lossOf(error)}`);
        // A client goes on from where it is when the connection breaks.
        await this.#backOff(signal);
      }
    }
  }

  // ---- lists

  async #list(signal: AbortSignal): Promise<Next> {
    const { tally, random } = this.options;
    const isPaged = this.options.start === "pages" && !this.#isExpired;
    const isAny = this.options.start === "any version" && !this.#isExpired;
    const times: RequestTimes = { sentAtMs: performance.now(), headAtMs: 0 };
    const items: SeenList["items"][number][] = [];
    let revision = 0;
    let token = "";
    do {
      const parameters = {
        ...(isPaged ? { limit: String(pageSize) } : {}),
        ...(isAny ? { resourceVersion: String(this.#revision) } : {}),
        ...(token === "" ? {} : { continue: token }),
      };
      this.doing = `list ${JSON.stringify(parameters)}`;
      const answer = await this.#get(parameters, "list", signal);
      const body = await readAll(answer, signal);
      if (answer.status !== 200) return this.#refusedList(decodeStatus(body), answer, token !== "", signal);
      const page = decodeList(body, this.options.encoding);
      times.headAtMs = performance.now();
      if (revision !== 0 && page.revision !== revision)
        throw new Error(`pages of ${revision} and ${page.revision}`);
      revision = page.revision;
      items.push(...page.items);
      token = page.continueToken;
      if (token === "") break;
      tally.add("pages");
      // Clients work on a page before they ask for the next one, and the view may change meanwhile.
      if (random.chance(0.3)) await wait(random.between(10, 400), undefined, { signal });
    } while (token !== "");
    await checkList(this.#facts(times), { revision, items });
    tally.add("lists");
    this.#replace(
      new Map(items.map(({ path, revision: version }) => [path, version])),
      revision,
      times.sentAtMs,
    );
    return "rewatch";
  }

  async #refusedList(
    status: SeenStatus,
    answer: OpenAnswer,
    isContinued: boolean,
    signal: AbortSignal,
  ): Promise<Next> {
    this.options.tally.add(`lists answered ${answer.status}`);
    if (!isContinued || answer.status !== 410)
      checkRefusal(this.#facts(), status, { handedOutAtMs: this.#listedAtMs, revision: this.#revision });
    // client-go's pager asks for all at once then.
    if (answer.status === 410) this.#isExpired = isContinued || this.options.start === "any version";
    await this.#waitAfter(answer, signal);
    return "relist";
  }

  #replace(store: Map<string, number>, revision: number, sentAtMs: number): void {
    this.#store = store;
    this.#revision = revision;
    this.#listedAtMs = sentAtMs;
    this.#handedOut = [revision];
    this.#failures = 0;
    this.#isExpired = false;
  }

  // ---- watches

  async #watchList(signal: AbortSignal): Promise<Next> {
    const version = this.#isExpired || this.#revision === 0 ? "" : String(this.#revision);
    this.#isExpired = false;
    const parameters = {
      resourceVersion: version,
      resourceVersionMatch: "NotOlderThan",
      sendInitialEvents: "true",
    };
    return this.#stream(parameters, signal);
  }

  async #watch(signal: AbortSignal): Promise<Next> {
    const { random } = this.options;
    if (random.chance(0.15)) await this.#probe(signal);
    return this.#stream({ resourceVersion: String(this.#revision) }, signal);
  }

  /** Goes on from something that was handed out earlier, on the side: every such version must be good for it. */
  async #probe(signal: AbortSignal): Promise<void> {
    const { random, timeline, tally } = this.options;
    const from = random.pick(this.#handedOut);
    const times = { sentAtMs: performance.now(), headAtMs: 0 };
    if (timeline.hasChangedSince(this.#listedAtMs)) return;
    this.doing = `probe from ${from}`;
    const parameters = {
      watch: "1",
      resourceVersion: String(from),
      allowWatchBookmarks: "true",
      timeoutSeconds: "1",
    };
    const answer = await this.#get(parameters, "watch", signal);
    times.headAtMs = performance.now();
    if (answer.status !== 200) {
      const status = decodeStatus(await readAll(answer, signal));
      if (answer.status === 410)
        checkRefusal(this.#facts(times), status, { handedOutAtMs: this.#listedAtMs, revision: from });
      return;
    }
    tally.add("probes");
    const checker = StreamChecker.from(this.#facts(times), from);
    const decoder = new EventDecoder(this.options.encoding);
    for await (const chunk of answer.body)
      for (const event of decoder.push(chunk)) if (event.type !== "ERROR") await checker.event(event);
  }

  async #stream(parameters: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Next> {
    const { random, tally, encoding } = this.options;
    const timeoutSeconds = random.between(6, 40);
    const times = { sentAtMs: performance.now(), headAtMs: 0 };
    const all = {
      watch: "1",
      allowWatchBookmarks: "true",
      timeoutSeconds: String(timeoutSeconds),
      ...parameters,
    };
    this.doing = `watch ${JSON.stringify(parameters)}`;
    const isInitial = "sendInitialEvents" in parameters;
    const answer = await this.#get(all, "watch", signal);
    times.headAtMs = performance.now();
    if (answer.status !== 200) return this.#refusedWatch(answer, isInitial, signal);
    tally.add(isInitial ? "WatchLists" : "watches");
    const checker = isInitial ? StreamChecker.initial(this.#facts(times)) : await this.#resumed(times);
    this.#open = checker;
    const run = new StreamRun(checker, isInitial ? undefined : this.#store);
    const decoder = new EventDecoder(encoding);
    const leaveAfter = random.chance(0.1) ? random.between(1, 40) : Number.POSITIVE_INFINITY;
    try {
      for await (const chunk of paced(answer, random, signal)) {
        for (const event of decoder.push(chunk)) {
          if (event.type === "ERROR") return await this.#errorEvent(event.status, times, signal);
          if (await run.take(event)) {
            this.#replace(run.store, event.object.revision, times.sentAtMs);
          } else if (!run.isInitial) {
            this.#revision = event.object.revision;
            this.#handedOut.push(event.object.revision);
            this.#failures = 0;
          }
          tally.add(event.type);
          if (run.count >= leaveAfter) return run.isInitial ? "relist" : "rewatch";
        }
      }
      checkWatchEnd(this.#facts(times), {
        isInitial: run.isInitial,
        isBetweenEvents: decoder.isBetweenEvents,
      });
      return run.isInitial ? "relist" : "rewatch";
    } catch (error) {
      if (signal.aborted || !isConnectionLoss(error)) throw error;
      tally.add("watches cut");
      return run.isInitial ? "relist" : "rewatch";
    } finally {
      this.#open = undefined;
      answer.destroy();
    }
  }

  async #resumed(times: RequestTimes): Promise<StreamChecker> {
    await this.options.history.reached(this.#revision);
    return StreamChecker.resumed(this.#facts(times), this.#revision, this.#store);
  }

  async #refusedWatch(answer: OpenAnswer, isInitial: boolean, signal: AbortSignal): Promise<Next> {
    const status = decodeStatus(await readAll(answer, signal));
    this.options.tally.add(`${isInitial ? "WatchLists" : "watches"} answered ${answer.status}`);
    const isExpired = answer.status === 410;
    checkRefusal(this.#facts(), status, {
      handedOutAtMs: this.#listedAtMs,
      revision: this.#revision,
      isInitial: isInitial && isExpired,
    });
    if (isExpired) {
      this.#isExpired = true;
      return "relist";
    }
    await this.#waitAfter(answer, signal);
    if (answer.status === 429 || answer.status >= 500) return isInitial ? "relist" : "rewatch";
    return "relist";
  }

  async #errorEvent(status: SeenStatus, times: RequestTimes, signal: AbortSignal): Promise<Next> {
    this.options.tally.add(`ERROR ${status.code}`);
    checkRefusal(this.#facts(times), status, {
      handedOutAtMs: this.#listedAtMs,
      openedAtMs: times.sentAtMs,
      revision: this.#revision,
    });
    await this.#backOff(signal);
    return "relist";
  }

  // ---- requests

  async #get(
    parameters: Readonly<Record<string, string>>,
    verb: "list" | "watch",
    signal: AbortSignal,
  ): Promise<OpenAnswer> {
    const { scope, selector, encoding, transport, tally } = this.options;
    const own = selector === undefined ? parameters : { ...parameters, labelSelector: selector };
    const target = `${pathOf(scope)}?${queryOf(scope, own)}`;
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(silenceMs + 10_000)]);
    const answer = await transport.get(target, acceptOf[encoding][verb], deadline);
    tally.add(`${encoding} over ${answer.protocol}`);
    return answer;
  }

  async #waitAfter({ retryAfterSeconds }: OpenAnswer, signal: AbortSignal): Promise<void> {
    if (retryAfterSeconds !== undefined)
      await wait(Math.min(retryAfterSeconds * 1000, retryAfterMs), undefined, { signal }).catch(
        () => undefined,
      );
    else await this.#backOff(signal);
  }

  async #backOff(signal: AbortSignal): Promise<void> {
    const ms =
      Math.min(backoffMs.max, backoffMs.min * 2 ** this.#failures++) * (1 + this.options.random.next());
    await wait(ms, undefined, { signal }).catch(() => undefined);
  }

  #facts(times: RequestTimes = { sentAtMs: performance.now(), headAtMs: performance.now() }) {
    const { name, scope, history, timeline, upheavals } = this.options;
    const periods = timeline.between(times.sentAtMs, times.headAtMs);
    return { reflector: name, scope, history, timeline, upheavals, times, periods };
  }
}

/** The body's chunks; now and then the reader takes a break, so that what it does not read piles up on the way. */
async function* paced({ body }: OpenAnswer, random: Random, signal: AbortSignal): AsyncGenerator<Buffer> {
  const isSlow = random.chance(0.2);
  for await (const chunk of body) {
    if (isSlow && random.chance(0.3)) await wait(random.between(10, 700), undefined, { signal });
    yield chunk;
  }
}
