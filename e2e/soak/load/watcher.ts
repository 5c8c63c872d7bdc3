import { setTimeout as wait } from "node:timers/promises";
import type { Answer, Channel } from "./channel.ts";
import { wrongInList } from "./contents.ts";
import { eventsOf } from "./events.ts";
import { isPostponed, Postponed } from "./postponed.ts";
import type { Random } from "./random.ts";
import type { Resource } from "./scene.ts";
import type { Tally } from "./tally.ts";
import type { Views } from "./views.ts";
import { WatchJudge } from "./watch-judge.ts";

export interface WatcherDeps {
  readonly resource: Resource;
  /** Begins each watch with the objects (KEP-3157) in place of a list. */
  readonly isWatchList: boolean;
  readonly channel: Channel;
  readonly views: Views;
  readonly random: Random;
  readonly tally: Tally;
}

const retryMs = 500;
const lookMs = 1_000;

/** Keeps a list and a watch as client-go's reflector does, and holds each event to the view that it was opened under. */
export class Watcher {
  readonly #deps: WatcherDeps;
  #ended = false;
  #answer: Answer | undefined;
  #isCut = false;
  /** Where to go on; "" means list anew. */
  #resourceVersion = "";

  constructor(deps: WatcherDeps) {
    this.#deps = deps;
  }

  /** Until `end`; never rejects. */
  async run(): Promise<void> {
    const { views, tally, resource, isWatchList, channel } = this.#deps;
    while (!this.#ended) {
      const startMs = performance.now();
      this.#isCut = false;
      try {
        if (this.#resourceVersion === "" && !isWatchList) await this.#list();
        if (!this.#ended) await this.#watch();
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        const isExpected = this.#ended || this.#isCut || error instanceof Postponed;
        if (!isExpected && !views.isOutage(startMs, performance.now()))
          tally.violation(`watch of ${resource} over ${channel.protocol}: ${reason}`);
        this.#resourceVersion = "";
        if (!this.#ended) await wait(retryMs);
      }
    }
  }

  /** Cuts the running watch, if there is one; the next one goes on behind it. */
  cut(): void {
    if (this.#answer === undefined) return;
    this.#isCut = true;
    this.#deps.tally.answered("watch", "cut");
    this.#answer.cancel();
  }

  end(): void {
    this.#ended = true;
    this.#answer?.cancel();
    this.#deps.channel.close();
  }

  async #list(): Promise<void> {
    const { resource, views, tally } = this.#deps;
    const startMs = performance.now();
    const path = `/api/v1/${resource}`;
    const { status, body } = await this.#open(path);
    const text = Buffer.concat(await body.toArray()).toString();
    if (isPostponed(status, path)) throw new Postponed();
    if (status !== 200) throw new Error(`list: status ${status} ${text.slice(0, 300)}`);
    const list = JSON.parse(text);
    const wrong = wrongInList(resource, list.items, views.possible(startMs, performance.now()));
    if (wrong !== undefined) tally.violation(`list of a watcher of ${resource}: ${wrong}`);
    this.#resourceVersion = list.metadata.resourceVersion;
  }

  async #watch(): Promise<void> {
    const { resource, views, tally, random, isWatchList } = this.#deps;
    const startMs = performance.now();
    const isFromObjects = this.#resourceVersion === "" && isWatchList;
    const from = isFromObjects
      ? "sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
      : `resourceVersion=${this.#resourceVersion}`;
    const timeout = `allowWatchBookmarks=true&timeoutSeconds=${60 + random.below(240)}`;
    const answer = await this.#open(`/api/v1/${resource}?watch=1&${timeout}&${from}`);
    tally.answered("watch", answer.status);
    if (answer.status !== 200) {
      const text = Buffer.concat(await answer.body.toArray()).toString();
      this.#resourceVersion = "";
      if (answer.status === 410) return;
      if (isPostponed(answer.status, `/api/v1/${resource}`)) throw new Postponed();
      throw new Error(`status ${answer.status} ${text.slice(0, 300)}`);
    }
    const judge = new WatchJudge(
      { ...this.#deps, isWatchList: isFromObjects },
      views.possible(startMs, performance.now()),
    );
    await this.#follow(answer, judge);
  }

  async #follow(answer: Answer, judge: WatchJudge): Promise<void> {
    const { tally } = this.#deps;
    tally.watchesOpened++;
    tally.watchesOpen++;
    this.#answer = answer;
    const watchdog = setInterval(() => judge.look(), lookMs);
    try {
      for await (const event of eventsOf(answer.body)) this.#resourceVersion = judge.take(event) ?? "";
    } catch (error) {
      if (this.#isCut || !(judge.isStale || judge.hasError)) throw error;
      tally.answered("watch", judge.hasError ? "cut behind its error" : "cut behind its view");
      this.#resourceVersion = "";
    } finally {
      clearInterval(watchdog);
      tally.watchesOpen--;
      this.#answer = undefined;
    }
  }

  #open(path: string): Promise<Answer> {
    const { channel, tally } = this.#deps;
    tally.sent(channel.protocol);
    return channel.send({ path });
  }
}
