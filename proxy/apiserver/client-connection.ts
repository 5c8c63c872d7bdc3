import type { TLSSocket } from "node:tls";
import type { Clock } from "#runtime/clock";
import type { Log } from "#runtime/log";
import type { UpstreamDialer } from "../transport/upstream.ts";
import type { WriteBatch } from "../transport/write-batch.ts";
import type { DataPlaneCounters } from "./counters.ts";
import type { Decision, RequestFacts, Rules } from "./pipeline.ts";
import type { RunningRequests } from "./running-requests.ts";

/** What a connection of the operator works with, whichever protocol it speaks. */
export interface ConnectionDeps {
  readonly client: TLSSocket;
  readonly batch: WriteBatch;
  readonly dialer: UpstreamDialer;
  /** `decide` of pipeline.ts. */
  decide(request: RequestFacts, rules: Rules): Decision;
  /** What holds now; asked once per request, so that one request sees one snapshot. */
  rules(): Rules;
  readonly running: RunningRequests;
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: DataPlaneCounters;
  /** No connection to the API server came about. */
  upstreamFailed(): void;
  closed(): void;
}

/** A connection of the operator, as the listener sees it. */
export interface ClientConnection {
  /** Ends the connection cleanly if nothing runs on it. */
  closeIfIdle(): void;
  /** Cuts it, and all that runs on it. */
  destroy(): void;
}

/** How long a request waits for a floor before it is answered 429. */
export const floorWaitMs = 5_000;
/** How long a watch that is to end may take to come to a place between two events; then it is cut. */
export const watchEndMs = 5_000;
/** How long the client has to read what it still has coming before its connection is cut. */
export const lingerMs = 10_000;
/** Why a request that waited for a floor is refused. */
export const floorUnknown =
  "the shard of this operator has changed, and it is not known yet from which resource version on a client may go on: the API server gave no answer, or nothing was written to it since; it is being found out";
