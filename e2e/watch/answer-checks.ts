import type { SeenObject, SeenStatus } from "./decode.ts";
import { seenBy } from "./scope.ts";
import { differencesOf } from "./store.ts";
import { describe, type StreamFacts, staleness } from "./stream-checker.ts";
import type { Upheavals } from "./upheavals.ts";
import type { ViewTimeline } from "./view.ts";
import { Violation } from "./violation.ts";

/** On the monotonic clock. */
export interface RequestTimes {
  readonly sentAtMs: number;
  /** When the answer's head was there: it was decided before. */
  headAtMs: number;
}

export interface AnswerFacts extends StreamFacts {
  readonly timeline: ViewTimeline;
  readonly upheavals: Upheavals;
  readonly times: RequestTimes;
}

/** A list, all pages of it, is what one view shows of the truth at the list's resourceVersion. */
export async function checkList(
  { reflector, scope, history, periods }: AnswerFacts,
  list: { readonly revision: number; readonly items: readonly SeenObject[] },
): Promise<void> {
  await history.reached(list.revision);
  const store = new Map(list.items.map(({ path, revision }) => [path, revision]));
  const paths = new Set<string>();
  const refuted: string[] = [];
  if (store.size !== list.items.length)
    throw new Violation(reflector, scope.resource, `a list as of ${list.revision} has an object twice`);
  for (const period of periods) {
    const truth = history.stateAt(scope.resource, list.revision, seenBy(scope, period.view));
    const different = differencesOf(store, truth);
    const reason =
      different.length > 0
        ? `${period.name} shows other objects: ${describe(different, store, truth)}`
        : staleness(period, list.revision);
    if (reason === undefined) return;
    refuted.push(reason);
    for (const path of different) paths.add(path);
  }
  throw new Violation(reflector, scope.resource, `a list as of ${list.revision}: ${refuted.join("; ")}`, [
    ...paths,
  ]);
}

/** Bad request, not found, not acceptable, unsupported media type: nothing that happens here leads to them. */
const neverExplained = new Set([400, 404, 406, 415]);

/** A 410 needs a reason: another view since the version was handed out, or an upheaval. */
export function checkRefusal(
  { reflector, scope, timeline, upheavals, times }: AnswerFacts,
  status: SeenStatus,
  from: {
    readonly handedOutAtMs: number;
    /** Of the watch in which the refusal came. */
    readonly openedAtMs?: number;
    readonly revision: number;
    readonly isInitial?: boolean;
  },
): void {
  const what = `${status.code} ${status.reason} "${status.message}" to ${from.revision}`;
  if (neverExplained.has(status.code)) throw new Violation(reflector, scope.resource, what);
  if (from.isInitial === true)
    throw new Violation(reflector, scope.resource, `${what}: a WatchList is never answered 410`);
  if (status.message.includes("the shard of this operator changed")) {
    if (timeline.hasChangedSince(from.openedAtMs ?? from.handedOutAtMs)) return;
    throw new Violation(reflector, scope.resource, `${what}, and no view has changed while the watch ran`);
  }
  if (status.code !== 410) return;
  const isExplained =
    timeline.hasChangedSince(from.handedOutAtMs) ||
    upheavals.hasHappenedSince(from.handedOutAtMs) ||
    isAtFloor(status, from.revision);
  if (isExplained) return;
  const age = Math.round(times.headAtMs - from.handedOutAtMs);
  throw new Violation(
    reflector,
    scope.resource,
    `${what}, handed out ${age} ms ago, and nothing has happened since`,
  );
}

/** Nothing tells what was read in the very state that a switch found from what was read before the switch. */
export function isAtFloor({ message }: SeenStatus, revision: number): boolean {
  const floor = Number(/\b(?:change|resource version) \(?(\d+)\)/.exec(message)?.[1]);
  return floor === revision + 1;
}

/** A watch that was neither cut nor ended with an ERROR ends behind a whole event, and not before its initial ones. */
export function checkWatchEnd(
  { reflector, scope, upheavals, times }: AnswerFacts,
  watch: {
    /** A WatchList without the bookmark that ends its initial events (KEP-3157): that one is promised. */
    readonly isInitial: boolean;
    readonly isBetweenEvents: boolean;
  },
): void {
  if (!watch.isBetweenEvents)
    throw new Violation(reflector, scope.resource, "a watch ended cleanly in the middle of an event");
  if (watch.isInitial && !upheavals.hasHappenedSince(times.sentAtMs))
    throw new Violation(reflector, scope.resource, "a WatchList ended without k8s.io/initial-events-end");
}
