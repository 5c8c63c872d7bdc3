import type { SeenEvent, SeenObject } from "./decode.ts";
import { type Change, type EtcdHistory, type IsSeen, transitionOf } from "./etcd-history.ts";
import { type Scope, seenBy } from "./scope.ts";
import { differencesOf, type Store } from "./store.ts";
import type { ViewPeriod } from "./view.ts";
import { Violation } from "./violation.ts";

export interface StreamFacts {
  readonly reflector: string;
  readonly scope: Scope;
  readonly history: EtcdHistory;
  /** Views that may have been in force when the request was decided. */
  readonly periods: readonly ViewPeriod[];
}

/** A view that explains all that the stream has said. */
interface Explanation {
  readonly period: ViewPeriod;
  readonly isSeen: IsSeen;
}

/**
 * How long behind the ack a watch may go on under the view that it was opened under: its end waits for a place between
 * two events and for the client to take them, and then it is cut (`watchEndMs` of the proxy, and what a busy machine
 * needs).
 */
const endingMs = 8_000;

type ObjectEvent = Exclude<SeenEvent, { type: "ERROR" }>;

/**
 * Follows the events of one watch. They must be, from the first to the last one that came, exactly those that a
 * direct watch from the same resourceVersion would tell under one of the views that were in force at its opening.
 */
export class StreamChecker {
  readonly #facts: StreamFacts;
  #explanations: Explanation[];
  /** Greatest resourceVersion so far. */
  #position: number;
  #refuted: string[] = [];
  #paths = new Set<string>();

  private constructor(facts: StreamFacts, position: number) {
    this.#facts = facts;
    this.#position = position;
    this.#explanations = facts.periods.map((period) => ({
      period,
      isSeen: seenBy(facts.scope, period.view),
    }));
  }

  /** A watch from a version whose state nobody has kept. */
  static from(facts: StreamFacts, revision: number): StreamChecker {
    return new StreamChecker(facts, revision);
  }

  /** A watch that goes on from where the client's store is: the store must be what the view shows there. */
  static resumed(facts: StreamFacts, from: number, store: Store): StreamChecker {
    const checker = new StreamChecker(facts, from);
    checker.#startAt(from, store, "goes on");
    return checker;
  }

  /** A WatchList, of which only `initialEvent` and `synced` may be called until its initial events are over. */
  static initial(facts: StreamFacts): StreamChecker {
    return new StreamChecker(facts, 0);
  }

  /** While the watch is open. @throws Violation when all views that explain it have been over for too long */
  stillOpen(): void {
    const overMs = Math.min(...this.#explanations.map(({ period }) => performance.now() - period.endedAtMs));
    if (overMs < endingMs) return;
    const names = this.#explanations.map(({ period }) => period.name).join("; ");
    this.#fail(`a watch is open though ${names} has been over for ${Math.round(overMs)} ms`, []);
  }

  /** One of the objects that are there already, or a change that came while they were sent. */
  async initialEvent({ type, object }: ObjectEvent): Promise<void> {
    await this.#facts.history.reached(object.revision);
    this.#keep(
      object.path,
      ({ period, isSeen }) => {
        const change = this.#changeAt(object);
        if (change === undefined) return `etcd has no ${object.path} at ${object.revision}`;
        if (type === "DELETED" ? transitionOf(change, isSeen) === "DELETED" : isShownBy(isSeen, change))
          return undefined;
        return `${period.name} does not show ${object.path} at ${object.revision}`;
      },
      `${type} ${object.path} at ${object.revision} among the initial events`,
    );
  }

  /** The initial events are over, and the store is complete as of a revision. */
  async synced(revision: number, store: Store): Promise<void> {
    await this.#facts.history.reached(revision);
    this.#position = revision;
    this.#startAt(revision, store, "has told all initial events");
    this.#keep("", ({ period }) => staleness(period, revision), `initial events as of ${revision}`);
  }

  async event({ type, object }: ObjectEvent): Promise<void> {
    const { revision, path } = object;
    await this.#facts.history.reached(revision);
    const isBookmark = type === "BOOKMARK";
    const what = isBookmark ? `bookmark ${revision}` : `${type} ${path} at ${revision}`;
    if (revision < this.#position || (!isBookmark && revision === this.#position))
      this.#fail(`${what} comes behind ${this.#position}: not in order, or twice`, [path]);
    const { history, scope } = this.#facts;
    const changes = history
      .changesAfter(scope.resource, this.#position)
      .filter((change) => change.revision <= revision);
    this.#position = revision;
    this.#keep(path, (explanation) => this.#refute(explanation, changes, { type, object }), what);
  }

  /** @param changes since the last event, up to this one's revision */
  #refute(
    { period, isSeen }: Explanation,
    changes: readonly Change[],
    event: ObjectEvent,
  ): string | undefined {
    const { type, object } = event;
    const isBookmark = type === "BOOKMARK";
    const written = changes.at(-1)?.toldAtMs ?? 0;
    if (!isBookmark && written > period.endedAtMs + endingMs)
      return `${period.name} was over for ${Math.round(written - period.endedAtMs)} ms when it was written`;
    const due = changes
      .map((change) => ({ change, transition: transitionOf(change, isSeen) }))
      .filter(({ transition }) => transition !== undefined);
    const last = isBookmark ? undefined : due.pop();
    const [missed] = due;
    if (missed !== undefined) {
      this.#paths.add(missed.change.path);
      return `${period.name} has ${missed.transition} ${missed.change.path} at ${missed.change.revision} before it`;
    }
    if (isBookmark) return undefined;
    const isRight =
      last?.change.revision === object.revision &&
      last.transition === type &&
      last.change.path === object.path;
    if (!isRight)
      return `${period.name} has ${last === undefined ? "nothing" : `${last.transition} ${last.change.path}`} there`;
    return type === "DELETED" ? undefined : wrongLabels(last.change, object);
  }

  #startAt(revision: number, store: Store, what: string): void {
    const { history, scope } = this.#facts;
    this.#keep(
      "",
      (explanation) => {
        const truth = history.stateAt(scope.resource, revision, explanation.isSeen);
        const paths = differencesOf(store, truth);
        for (const path of paths) this.#paths.add(path);
        if (paths.length === 0) return undefined;
        return `${explanation.period.name} shows other objects: ${describe(paths, store, truth)}`;
      },
      `a watch ${what} at ${revision}`,
    );
  }

  #changeAt({ path, revision }: SeenObject): Change | undefined {
    const { history, scope } = this.#facts;
    const [change] = history.changesAfter(scope.resource, revision - 1);
    return change?.revision === revision && change.path === path ? change : undefined;
  }

  /** Drops the explanations that `refute` has something against. */
  #keep(path: string, refute: (explanation: Explanation) => string | undefined, what: string): void {
    this.#explanations = this.#explanations.filter((explanation) => {
      const reason = refute(explanation);
      if (reason !== undefined) this.#refuted.push(reason);
      return reason === undefined;
    });
    if (this.#explanations.length === 0) this.#fail(`${what}: ${this.#refuted.join("; ")}`, [path]);
  }

  #fail(what: string, paths: readonly string[]): never {
    const { reflector, scope } = this.#facts;
    throw new Violation(
      reflector,
      scope.resource,
      what,
      [...this.#paths, ...paths].filter((path) => path !== ""),
    );
  }
}

/** Why a list or WatchList under a view may not be as old as this; undefined: it may. */
export function staleness(period: ViewPeriod, revision: number): string | undefined {
  if (revision >= period.notBeforeRevision) return undefined;
  return `${period.name} began after ${period.notBeforeRevision}, and no list under it may be older`;
}

export function describe(paths: readonly string[], store: Store, truth: ReadonlyMap<string, number>): string {
  return paths
    .slice(0, 5)
    .map((path) => `${path} is ${store.get(path) ?? "absent"}, in truth ${truth.get(path) ?? "absent"}`)
    .join(", ");
}

function isShownBy(isSeen: IsSeen, change: Change): boolean {
  return change.labels !== undefined && isSeen({ ...change, labels: change.labels });
}

function wrongLabels(change: Change, object: SeenObject): string | undefined {
  const [is, ought] = [object.labels, change.labels ?? {}].map((labels) =>
    JSON.stringify(Object.entries(labels).sort()),
  );
  return is === ought ? undefined : `its labels are ${ought}, not ${is}`;
}
