import type { ErrorCode } from "#api/errors";
import { parameterValue, withParameter } from "#kube/wire/query";
import { isTrue, type RequestInfo } from "#kube/wire/request-info";
import { continuedResourceVersion, isBelow, isDecimal, isZero } from "./resource-version.ts";

/** What is known of a resource since the last switch. */
export interface Floor {
  /** Decimal. What has a lower one was handed out before. */
  readonly resourceVersion: string;
  /**
   * Set while the floor is dirty: what has exactly its resourceVersion may have been handed out before or since.
   * Resolves, and never rejects, when it is worth asking again.
   */
  readonly untilMoved: (() => Promise<void>) | undefined;
}

/**
 * What a floor means for one list or watch of a limited resource (`ownership.md` section 4): it may not go on
 * from a state that was read under another view, nor start from one before the last write of the shard that
 * held the objects before.
 */
export type FloorVerdict =
  | { readonly kind: "pass"; readonly query: string }
  | { readonly kind: "refuse"; readonly code: ErrorCode; readonly message: string }
  /** It can't be told yet; call again once `ready` resolves. */
  | { readonly kind: "wait"; readonly ready: Promise<void> };

/** What goes on from a dirty floor waits; what begins anew, or asks for that very state, never does. */
export function applyFloor(info: RequestInfo, floor: Floor): FloorVerdict {
  const version = parameterValue(info.query, "resourceVersion") ?? "";
  const isWatch = info.verb === "watch";
  if (isWatch && !isTrue(parameterValue(info.query, "sendInitialEvents"))) {
    return watchFrom(info.query, version, floor);
  }
  const token = isWatch ? "" : (parameterValue(info.query, "continue") ?? "");
  if (token !== "") return continuedListAt(info.query, token, floor);
  const { resourceVersion } = floor;
  return isWatch
    ? watchListAt(info.query, version, resourceVersion)
    : listAt(info.query, version, resourceVersion);
}

function watchFrom(query: string, version: string, floor: Floor): FloorVerdict {
  if (!isDecimal(version) || isZero(version)) return pass(query);
  if (isBelow(version, floor.resourceVersion)) return belowFloor(version, floor.resourceVersion);
  return untilDecided(version, floor) ?? pass(query);
}

/** @param version decimal, not below the floor */
function untilDecided(version: string, { resourceVersion, untilMoved }: Floor): FloorVerdict | undefined {
  if (untilMoved === undefined || isBelow(resourceVersion, version)) return undefined;
  return { kind: "wait", ready: untilMoved() };
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
  if (isExact(query, version)) return belowFloor(version, floor);
  const match = parameterValue(query, "resourceVersionMatch") ?? "";
  // "Exact" of "0" and unknown words are for the API server to refuse.
  if (match !== "" && match !== "NotOlderThan") return pass(query);
  const raised = withParameter(query, "resourceVersion", floor);
  return pass(match === "" ? withParameter(raised, "resourceVersionMatch", "NotOlderThan") : raised);
}

function continuedListAt(query: string, token: string, floor: Floor): FloorVerdict {
  const version = continuedResourceVersion(token);
  if (version === undefined) return pass(query);
  if (!isBelow(version, floor.resourceVersion)) return untilDecided(version, floor) ?? pass(query);
  return {
    kind: "refuse",
    code: "CONTINUE_BELOW_FLOOR",
    message: `the continue token may be from before this shard's last change (resource version ${floor.resourceVersion}): start the list anew without it`,
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

function belowFloor(version: string, floor: string): FloorVerdict {
  return {
    kind: "refuse",
    code: "RESOURCE_VERSION_BELOW_FLOOR",
    message: `resource version ${version} may be from before this shard's last change (${floor}): list again`,
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
