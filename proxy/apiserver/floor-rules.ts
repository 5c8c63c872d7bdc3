import type { ErrorCode } from "#api/errors";
import { parameterValue, withParameter } from "#kube/wire/query";
import { isTrue, type RequestInfo } from "#kube/wire/request-info";
import { continuedResourceVersion, isBelow, isDecimal, isZero } from "./resource-version.ts";

/**
 * Lists that began behind a floor and whose watch has not come yet. While nothing is written at all, a list before
 * the floor and one behind it have the same resourceVersion, the floor's own: what goes on from there is of the
 * present view only if such a list accounts for it. Else it is refused, which costs a list and loses nothing.
 */
export class ListTally {
  #open = 0;

  began(): void {
    this.#open++;
  }

  get isEmpty(): boolean {
    return this.#open === 0;
  }

  /** A watch goes on from the floor itself; false when no list accounts for it. */
  spend(): boolean {
    if (this.#open === 0) return false;
    this.#open--;
    return true;
  }
}

/** What the first read after the last switch told, and what began since. */
export interface Floor {
  /** Decimal. */
  readonly resourceVersion: string;
  readonly lists: ListTally;
}

/**
 * What a floor means for one list or watch of a limited resource (`ownership.md` section 4): it may not go on
 * from a state that was read under another view, nor start from one before the last write of the shard that
 * held the objects before.
 */
export type FloorVerdict =
  | { readonly kind: "pass"; readonly query: string }
  | { readonly kind: "refuse"; readonly code: ErrorCode; readonly message: string };

/** Counts the lists that begin and the watches that follow them, so it is called once for each request. */
export function applyFloor(info: RequestInfo, { resourceVersion: floor, lists }: Floor): FloorVerdict {
  const version = parameterValue(info.query, "resourceVersion") ?? "";
  const isWatch = info.verb === "watch";
  if (isWatch && !isTrue(parameterValue(info.query, "sendInitialEvents"))) {
    const isOld = isResumeBelow(version, floor) || (isSame(version, floor) && !lists.spend());
    return isOld ? resumeBelowFloor(version, floor) : pass(info.query);
  }
  const token = isWatch ? "" : (parameterValue(info.query, "continue") ?? "");
  if (token !== "") return continuedListAt(info.query, token, { resourceVersion: floor, lists });
  lists.began();
  return isWatch ? watchListAt(info.query, version, floor) : listAt(info.query, version, floor);
}

/**
 * The same while the floor can't be read: the proxy's own credentials may not list the resource, or the API
 * server does not serve it. What starts from scratch is made consistent, which no floor can be above; what goes
 * on from somewhere is refused. The API server's own refusal so reaches the client first.
 */
export function applyUnreadableFloor(info: RequestInfo): FloorVerdict {
  const version = parameterValue(info.query, "resourceVersion") ?? "";
  if (info.verb === "watch") {
    if (isTrue(parameterValue(info.query, "sendInitialEvents"))) {
      return pass(version === "" ? info.query : withParameter(info.query, "resourceVersion", ""));
    }
    return isDecimal(version) && !isZero(version) ? unreadable() : pass(info.query);
  }
  if ((parameterValue(info.query, "continue") ?? "") !== "" || isExact(info.query, version))
    return unreadable();
  if (!isDecimal(version)) return pass(info.query);
  // resourceVersionMatch is not allowed without a resourceVersion.
  const consistent = withParameter(info.query, "resourceVersion", "");
  const hasMatch = parameterValue(info.query, "resourceVersionMatch") !== undefined;
  return pass(hasMatch ? withParameter(consistent, "resourceVersionMatch", "") : consistent);
}

/** A WatchList is never answered 410: client-go would ask again at once and without end. */
function watchListAt(query: string, version: string, floor: string): FloorVerdict {
  // The API server asks for resourceVersionMatch here, so it stands in the query or the request is refused.
  return pass(needsRaise(version, floor) ? withParameter(query, "resourceVersion", floor) : query);
}

function listAt(query: string, version: string, floor: string): FloorVerdict {
  if (!needsRaise(version, floor)) return pass(query);
  if (isExact(query, version)) return resumeBelowFloor(version, floor);
  const match = parameterValue(query, "resourceVersionMatch") ?? "";
  // "Exact" of "0" and unknown words are for the API server to refuse.
  if (match !== "" && match !== "NotOlderThan") return pass(query);
  const raised = withParameter(query, "resourceVersion", floor);
  return pass(match === "" ? withParameter(raised, "resourceVersionMatch", "NotOlderThan") : raised);
}

function continuedListAt(
  query: string,
  token: string,
  { resourceVersion: floor, lists }: Floor,
): FloorVerdict {
  const version = continuedResourceVersion(token);
  if (version === undefined) return pass(query);
  if (!isBelow(version, floor) && !(isSame(version, floor) && lists.isEmpty)) return pass(query);
  return {
    kind: "refuse",
    code: "CONTINUE_BELOW_FLOOR",
    message: `the continue token is from before this shard's last change (resource version ${floor}): start the list anew without it`,
  };
}

/** Whether a list asks for exactly this state: by word, or by the older rule for a limit without a word. */
function isExact(query: string, version: string): boolean {
  if (!isDecimal(version) || isZero(version)) return false;
  const match = parameterValue(query, "resourceVersionMatch") ?? "";
  if (match !== "") return match === "Exact";
  const limit = parameterValue(query, "limit") ?? "";
  return isDecimal(limit) && !isZero(limit);
}

/** "" asks for the newest state and is never too old; what is no number is for the API server to refuse. */
function needsRaise(version: string, floor: string): boolean {
  return isDecimal(version) && isBelow(version, floor);
}

/** A floor of zeros belongs to a resource without versions: nothing goes on from there. */
function isSame(version: string, floor: string): boolean {
  return isDecimal(version) && !isZero(version) && !isBelow(version, floor) && !isBelow(floor, version);
}

function isResumeBelow(version: string, floor: string): boolean {
  return needsRaise(version, floor) && !isZero(version);
}

function resumeBelowFloor(version: string, floor: string): FloorVerdict {
  return {
    kind: "refuse",
    code: "RESOURCE_VERSION_BELOW_FLOOR",
    message: `resource version ${version} is from before this shard's last change (${floor}): list again`,
  };
}

function unreadable(): FloorVerdict {
  return {
    kind: "refuse",
    code: "FLOOR_UNKNOWN",
    message:
      "the pod's service account may not list this resource, so nothing tells whether this request goes on from a state of this shard: allow it to list",
  };
}

function pass(query: string): FloorVerdict {
  return { kind: "pass", query };
}
