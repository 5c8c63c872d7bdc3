import type { ErrorCode } from "#api/errors";

/** Requests by what they do to the API server. */
export type VerbClass = "list" | "watch" | "get" | "write" | "deletecollection" | "other";

/** filtered: forwarded with the shard's selector. */
export type Outcome = "forwarded" | "filtered" | "refused";

/**
 * What the data plane counted since the process started. Plain numbers, raised in place: an exporter reads them
 * when it is asked, and a request pays for no metrics library.
 */
export interface DataPlaneCounters {
  connectionsAccepted: number;
  connectionsOpen: number;
  /** Clients that did not get through the TLS handshake. */
  handshakeFailures: number;
  readonly requests: Record<VerbClass, Record<Outcome, number>>;
  /** Final answers of the API server by the first digit of their status; 101 counts as 1. */
  readonly responses: Record<1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9, number>;
  /** Local answers by code. */
  readonly refusals: Map<ErrorCode, number>;
  tunnelsOpen: number;
  /** Watches ended with an in-stream 410 because their selector changed. */
  watchesExpired: number;
  /** Watches ended without an error because the proxy drains. */
  watchesEnded: number;
  /** Requests cut by destroying their connection: at a switch or at the end of a drain. */
  requestsDestroyed: number;
}

export function createDataPlaneCounters(): DataPlaneCounters {
  const outcomes = (): Record<Outcome, number> => ({ forwarded: 0, filtered: 0, refused: 0 });
  return {
    connectionsAccepted: 0,
    connectionsOpen: 0,
    handshakeFailures: 0,
    requests: {
      list: outcomes(),
      watch: outcomes(),
      get: outcomes(),
      write: outcomes(),
      deletecollection: outcomes(),
      other: outcomes(),
    },
    responses: { 1: 0, 2: 0, 3: 0, 4: 0, 5: 0, 6: 0, 7: 0, 8: 0, 9: 0 },
    refusals: new Map(),
    tunnelsOpen: 0,
    watchesExpired: 0,
    watchesEnded: 0,
    requestsDestroyed: 0,
  };
}

/** Class of a RequestInfo verb; undefined for a request line that was not understood. */
export function verbClassOf(verb: string | undefined): VerbClass {
  switch (verb) {
    case "list":
    case "watch":
    case "get":
    case "deletecollection":
      return verb;
    case "create":
    case "update":
    case "patch":
    case "delete":
      return "write";
    default:
      return "other";
  }
}

export function countResponse(counters: DataPlaneCounters, status: number): void {
  const digit = Math.floor(status / 100);
  if (isStatusDigit(digit)) counters.responses[digit]++;
}

function isStatusDigit(digit: number): digit is keyof DataPlaneCounters["responses"] {
  return digit >= 1 && digit <= 9;
}

export function countRefusal(counters: DataPlaneCounters, code: ErrorCode): void {
  counters.refusals.set(code, (counters.refusals.get(code) ?? 0) + 1);
}
