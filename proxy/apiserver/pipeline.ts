import type { ErrorCode } from "#api/errors";
import type { Encoding } from "#kube/wire/media-type";
import type { RequestInfo } from "#kube/wire/request-info";
import type { CompiledSnapshot } from "../snapshot.ts";
import type { FloorTable } from "./floor.ts";

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

/** A floor is being read. Call decide again once `ready` resolves; bound the wait, then answer 429. */
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
  /** Of the answer's body, so that an error event can be put at a frame boundary. */
  readonly encoding: Encoding;
}
