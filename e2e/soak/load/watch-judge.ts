import { wrongInList } from "./contents.ts";
import type { WatchEvent } from "./events.ts";
import type { KubernetesObject, Resource, View } from "./scene.ts";
import type { Tally } from "./tally.ts";
import { teamsOf, type Views } from "./views.ts";

interface WatchJudgeDeps {
  readonly resource: Resource;
  readonly isWatchList: boolean;
  readonly views: Views;
  readonly tally: Tally;
}

/** kube-apiserver sends one each minute, give or take some seconds. */
const bookmarkWithinMs = 100_000;
/** Until the bookmark behind the first objects. */
const initialWithinMs = 90_000;
/** A watch of a view that has ended: 5 s to come to its place between two events, and some for busy machines. */
const expiredWithinMs = 20_000;
const initialEventsEnd = "k8s.io/initial-events-end";

/** Holds one open watch to the views that it may have been opened under, and to its bookmarks. */
export class WatchJudge {
  readonly #deps: WatchJudgeDeps;
  /** Views that explain all that was seen. */
  #possible: readonly View[];
  /** Objects from the beginning until the bookmark behind them. */
  #initial: KubernetesObject[] | undefined;
  readonly #openedAtMs = performance.now();
  #bookmarkAtMs = performance.now();
  #staleSinceMs: number | undefined;
  #isReported = false;
  /** Whether the error event that ends a watch has come: nothing of use can come behind it. */
  hasError = false;

  constructor(deps: WatchJudgeDeps, possible: readonly View[]) {
    this.#deps = deps;
    this.#possible = possible;
    this.#initial = deps.isWatchList ? [] : undefined;
  }

  /** Returns the resourceVersion to go on from; undefined after an error event. */
  take({ type, object }: WatchEvent): string | undefined {
    const { tally, resource } = this.#deps;
    if (type === "ERROR") {
      this.hasError = true;
      tally.watchesExpired++;
      if (object.code !== 410)
        tally.violation(`watch of ${resource}: ${JSON.stringify(object).slice(0, 300)}`);
      return undefined;
    }
    if (type === "BOOKMARK") {
      tally.bookmarks++;
      this.#bookmarkAtMs = performance.now();
      if (object.metadata.annotations?.[initialEventsEnd] === "true") this.#endInitial();
    } else {
      tally.watchEvents++;
      this.#initial?.push(object);
      this.#narrow(object);
    }
    return object.metadata.resourceVersion ?? "";
  }

  /** Whether the view has ended: the proxy may cut a watch that does not come to a place between two events. */
  get isStale(): boolean {
    const { views, resource } = this.#deps;
    const nowMs = performance.now();
    const inForce = views.possible(nowMs, nowMs).map((view) => teamsOf(view, resource));
    const isInForce = this.#possible.some((view) => inForce.includes(teamsOf(view, resource)));
    if (!isInForce) this.#staleSinceMs ??= nowMs;
    return this.#staleSinceMs !== undefined;
  }

  /** Call it now and then: finds watches that are stuck. */
  look(): void {
    const nowMs = performance.now();
    if (this.isStale && nowMs - (this.#staleSinceMs ?? nowMs) > expiredWithinMs)
      this.#stuck("is still open under a view that has ended");
    if (nowMs - this.#bookmarkAtMs > bookmarkWithinMs) this.#stuck("brings no bookmark");
    if (this.#initial !== undefined && nowMs - this.#openedAtMs > initialWithinMs)
      this.#stuck("brings no end of its first objects");
  }

  #endInitial(): void {
    const { resource, tally } = this.#deps;
    const wrong = wrongInList(resource, this.#initial ?? [], this.#possible);
    if (wrong !== undefined) tally.violation(`first objects of a watch of ${resource}: ${wrong}`);
    this.#initial = undefined;
  }

  #narrow(object: KubernetesObject): void {
    const { resource, tally } = this.#deps;
    const team = object.metadata.labels?.team ?? "none";
    const left = this.#possible.filter((view) => view.teams[resource].includes(team));
    if (left.length > 0) this.#possible = left;
    else {
      const shown = this.#possible.map((view) => teamsOf(view, resource)).join(", ");
      tally.violation(`watch of ${resource}: an event of ${team} under ${shown}`);
    }
  }

  #stuck(how: string): void {
    if (this.#isReported) return;
    this.#isReported = true;
    this.#deps.tally.violation(`a watch of ${this.#deps.resource} ${how}`);
  }
}
