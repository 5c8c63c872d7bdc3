import { type ErrorCode, errorCodes, toCtrlmeshError } from "#api/errors";
import { answerEncodingFor, type Encoding } from "#kube/wire/media-type";
import { parseRequestInfo, type RequestInfo } from "#kube/wire/request-info";
import type { CompiledLimit, CompiledSnapshot } from "../snapshot.ts";
import type { FloorTable } from "./floor.ts";
import { applyFloor, applyUnreadableFloor, type FloorVerdict } from "./floor-rules.ts";
import type { FloorState } from "./floor-scope.ts";
import { andSelector } from "./shard-selector.ts";
import { fenceRefusal, isMutation } from "./write-fence.ts";

/** What a request's head tells; nothing of its body is needed to decide. */
export interface RequestFacts {
  readonly method: string;
  readonly target: string;
  readonly accept: string | undefined;
  readonly isUpgrade: boolean;
}

/** All that a decision depends on, taken once per request: one request sees one snapshot. */
export interface Rules {
  readonly snapshot: CompiledSnapshot | undefined;
  readonly floors: FloorTable;
  readonly draining: boolean;
}

export type Decision = Forward | Refuse | Wait;

export interface Forward {
  readonly kind: "forward";
  /** Goes into the request line in place of the client's target. */
  readonly target: string;
  readonly info: RequestInfo;
  /** Set for a list, watch or deletecollection that carries the shard's selector. */
  readonly limited: LimitedRequest | undefined;
  /** Whether it may change something: what the ack of a revoke waits for. */
  readonly mutates: boolean;
}

export interface Refuse {
  readonly kind: "refuse";
  /** HTTP status. */
  readonly status: number;
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryAfterSeconds: number | undefined;
  /** Undefined when the request line could not be understood. */
  readonly info: RequestInfo | undefined;
}

/** A floor is being read, or it is being found out whether it has been passed. Call decide again once `ready` resolves; bound the wait, then answer 429. */
export interface Wait {
  readonly kind: "wait";
  readonly ready: Promise<void>;
}

export interface LimitedRequest {
  readonly group: string;
  readonly resource: string;
  /** The shard's part alone, text form: tells under which view the request was opened. */
  readonly selector: string;
  readonly isWatch: boolean;
  /** Likely encoding of the answer; its Content-Type decides. */
  readonly encoding: Encoding;
}

/** A snapshot or a floor is a matter of moments. */
const soonSeconds = 1;
/** A grant waits for other pods to end. */
const grantRetrySeconds = 5;

/**
 * What becomes of one request. Pure but for the floor table, which starts reads when it needs them. The stages
 * in order, each of them final when it refuses:
 *
 * 1. the request line is understood, else 400;
 * 2. there is a snapshot, it grants, and the proxy is not draining (watches only), else 429;
 * 3. faults and breakers, which see every request as the operator sent it;
 * 4. write fence: 403 for a write to what has moved away;
 * 5. limit: list, watch and deletecollection of a limited resource go on, all else passes as it is;
 * 6. floor: 410 or a raised resourceVersion for what would go on from another view, also of what is no longer
 *    limited; a wait while that can't be told;
 * 7. selector: the shard's is anded to the client's;
 * 8. lease names, which need the body and so come behind all refusals.
 *
 * Stages 3 and 8 have no rules in a snapshot yet.
 */
export function decide(request: RequestFacts, rules: Rules): Decision {
  let info: RequestInfo | undefined;
  try {
    info = parseRequestInfo(request.method, request.target);
    return decideKnown(request, info, rules);
  } catch (thrown) {
    const { code, message } = toCtrlmeshError(thrown);
    return refuse(code, message, info);
  }
}

function decideKnown(
  request: RequestFacts,
  info: RequestInfo,
  { snapshot, floors, draining }: Rules,
): Decision {
  if (snapshot === undefined) {
    return refuse("NO_SNAPSHOT", "the proxy has no rules from the manager yet", info, soonSeconds);
  }
  if (!snapshot.granted) {
    const reason = snapshot.grantReason === "" ? "" : `: ${snapshot.grantReason}`;
    return refuse(
      "NOT_GRANTED",
      `shard "${snapshot.shard}" is not granted${reason}`,
      info,
      grantRetrySeconds,
    );
  }
  // Everything else passes: an operator that ends still writes its last status and gives back its lease.
  if (draining && info.verb === "watch") {
    return refuse("DRAINING", "the proxy is shutting down and opens no new watch", info, soonSeconds);
  }
  const mutates = isMutation(info, request.isUpgrade);
  if (mutates) {
    const refusal = fenceRefusal(info, snapshot);
    if (refusal !== undefined) return refuse("WRITE_FENCED", refusal, info);
  }
  const limit = limitOf(info, snapshot);
  if (limit === undefined) return unlimited(request, info, mutates, { snapshot, floors });
  if (request.isUpgrade) {
    // Nothing could be put into its frames when the view changes.
    return refuse(
      "UPGRADE_NOT_SUPPORTED",
      "a sharded resource can't be listed or watched over WebSocket",
      info,
    );
  }
  return limited(request, info, limit, floors);
}

function limitOf(info: RequestInfo, snapshot: CompiledSnapshot): CompiledLimit | undefined {
  if (!info.isResource) return undefined;
  if (info.verb !== "list" && info.verb !== "watch" && info.verb !== "deletecollection") return undefined;
  if (info.namespace !== "" && snapshot.isUnfilteredNamespace(info.namespace)) return undefined;
  return snapshot.limitFor(info.apiGroup, info.resource);
}

/** What an earlier view limited is held to its floor, like what is limited now. */
function unlimited(
  request: RequestFacts,
  info: RequestInfo,
  mutates: boolean,
  { snapshot, floors }: { readonly snapshot: CompiledSnapshot; readonly floors: FloorTable },
): Decision {
  const isView = info.isResource && (info.verb === "list" || info.verb === "watch");
  const floor =
    isView && !snapshot.isUnfilteredNamespace(info.namespace) ? floors.stateForUnlimited(info) : undefined;
  const verdict = floor === undefined ? undefined : floorVerdict(info, floor);
  if (verdict !== undefined && verdict.kind !== "pass") return verdict;
  const isSame = verdict === undefined || verdict.query === info.query;
  const target = isSame ? request.target : `${pathOf(request.target, info.query)}?${verdict.query}`;
  return { kind: "forward", target, info, limited: undefined, mutates };
}

function floorVerdict(
  info: RequestInfo,
  floor: FloorState,
): Extract<FloorVerdict, { kind: "pass" }> | Refuse | Wait {
  if (floor.kind === "wait") return floor;
  const verdict = floor.kind === "known" ? applyFloor(info, floor.floor) : applyUnreadableFloor(info);
  return verdict.kind === "refuse"
    ? refuse(verdict.code, verdict.message, info, retryOf(verdict.code))
    : verdict;
}

function limited(
  request: RequestFacts,
  info: RequestInfo,
  limit: CompiledLimit,
  floors: FloorTable,
): Decision {
  let query = info.query;
  // A deletion names no state to go on from: the API server reads what it deletes itself.
  if (info.verb !== "deletecollection") {
    const verdict = floorVerdict(info, floors.stateFor(info, limit.selector));
    if (verdict.kind !== "pass") return verdict;
    query = verdict.query;
  }
  return {
    kind: "forward",
    target: `${pathOf(request.target, info.query)}?${andSelector(query, limit.escapedSelector)}`,
    info,
    limited: {
      group: info.apiGroup,
      resource: info.resource,
      selector: limit.selector,
      isWatch: info.verb === "watch",
      encoding: answerEncodingFor(request.accept),
    },
    mutates: info.verb === "deletecollection",
  };
}

/** The path as the client wrote it. */
function pathOf(target: string, query: string): string {
  const end = target.length - query.length;
  return target.charCodeAt(end - 1) === 0x3f ? target.slice(0, end - 1) : target;
}

function retryOf(code: ErrorCode): number | undefined {
  return code === "FLOOR_UNKNOWN" ? grantRetrySeconds : undefined;
}

function refuse(
  code: ErrorCode,
  message: string,
  info: RequestInfo | undefined,
  retryAfterSeconds?: number,
): Refuse {
  return { kind: "refuse", status: errorCodes[code].status, code, message, retryAfterSeconds, info };
}
