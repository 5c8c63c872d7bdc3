/**
 * The one table of error codes. A code is stable: users, tests and the manager match on it, never on the
 * text. `docs/errors.md` has one section per code; a test holds both lists to each other.
 *
 * - `reason`, `status`: how the error looks as a Kubernetes Status (apimachinery's StatusReason and HTTP status).
 * - `exitCode`: what the CLI ends with.
 * - `retry`: whether the same call may succeed later without a change by the user.
 */
interface ErrorCodeRow {
  readonly reason: string;
  readonly status: number;
  readonly exitCode: number;
  readonly retry: boolean;
}

const row = (reason: string, status: number, exitCode: number, retry: boolean): ErrorCodeRow => ({
  reason,
  status,
  exitCode,
  retry,
});

export const errorCodes = {
  // What a user writes.
  INVALID_FLAG: row("BadRequest", 400, 2, false),
  INVALID_SETTING: row("BadRequest", 400, 2, false),
  INVALID_RESOURCE: row("Invalid", 422, 2, false),
  INVALID_LABEL_SELECTOR: row("BadRequest", 400, 2, false),
  INVALID_KEY_FILE: row("BadRequest", 400, 2, false),
  INVALID_CERTIFICATE: row("BadRequest", 400, 2, false),
  INVALID_SHARDING_RESOURCES: row("Invalid", 422, 2, false),
  // Bytes from a client or from the API server.
  MALFORMED_REQUEST: row("BadRequest", 400, 1, false),
  REQUEST_HEAD_TOO_LARGE: row("RequestHeaderFieldsTooLarge", 431, 1, false),
  MALFORMED_RESPONSE: row("InternalError", 502, 1, true),
  UPSTREAM_UNREACHABLE: row("ServiceUnavailable", 503, 1, true),
  UPGRADE_NOT_SUPPORTED: row("BadRequest", 400, 1, false),
  // Sharding decisions of a proxy.
  NO_SNAPSHOT: row("TooManyRequests", 429, 1, true),
  NOT_GRANTED: row("TooManyRequests", 429, 1, true),
  FLOOR_UNKNOWN: row("TooManyRequests", 429, 1, true),
  RESOURCE_VERSION_BELOW_FLOOR: row("Expired", 410, 1, true),
  CONTINUE_BELOW_FLOOR: row("Expired", 410, 1, true),
  VIEW_CHANGED: row("Expired", 410, 1, true),
  WRITE_FENCED: row("Forbidden", 403, 1, false),
  DRAINING: row("TooManyRequests", 429, 1, true),
  // Control stream.
  UNAUTHENTICATED: row("Unauthorized", 401, 1, false),
  POD_NOT_BOUND: row("Forbidden", 403, 1, false),
  POD_NOT_FOUND: row("NotFound", 404, 1, true),
  POD_NOT_INJECTED: row("Forbidden", 403, 1, false),
  NOT_LEADER: row("ServiceUnavailable", 503, 1, true),
  PROTOCOL_VIOLATION: row("BadRequest", 400, 1, false),
  SNAPSHOT_UNKNOWN_FIELD: row("Invalid", 422, 1, false),
  SNAPSHOT_INVALID: row("Invalid", 422, 1, false),
  SNAPSHOT_OLDER: row("Conflict", 409, 1, false),
  SNAPSHOT_OTHER_SHARD: row("Conflict", 409, 1, false),
  SNAPSHOT_NOT_STORED: row("InternalError", 500, 1, true),
  SNAPSHOT_FILE_CORRUPT: row("InternalError", 500, 1, false),
  CONTROL_STREAM_FAILED: row("ServiceUnavailable", 503, 1, true),
  // Kubernetes API as the manager and the CLI use it.
  KUBECONFIG_INVALID: row("BadRequest", 400, 2, false),
  API_REQUEST_FAILED: row("InternalError", 500, 1, true),
  API_CONFLICT: row("Conflict", 409, 1, true),
  API_NOT_FOUND: row("NotFound", 404, 1, false),
  API_FORBIDDEN: row("Forbidden", 403, 1, false),
  API_EXPIRED: row("Expired", 410, 1, true),
  API_UNREACHABLE: row("ServiceUnavailable", 503, 1, true),
  LEADERSHIP_LOST: row("ServiceUnavailable", 503, 1, true),
  LEDGER_CONFLICT: row("Conflict", 409, 1, true),
  LEDGER_CORRUPT: row("InternalError", 500, 1, false),
  // Admission.
  ADMISSION_REVIEW_INVALID: row("BadRequest", 400, 1, false),
  INJECTION_REFUSED: row("Forbidden", 403, 1, false),
  // `ctrlmesh init`.
  REDIRECT_NOT_PERMITTED: row("Forbidden", 403, 1, false),
  REDIRECT_FAILED: row("InternalError", 500, 1, false),
  // Processes and files.
  PORT_IN_USE: row("InternalError", 500, 1, false),
  FILE_UNREADABLE: row("InternalError", 500, 1, false),
  TIMEOUT: row("Timeout", 504, 1, true),
  CHILD_PROCESS_FAILED: row("InternalError", 500, 1, false),
  INTERNAL: row("InternalError", 500, 1, false),
} as const satisfies Record<string, ErrorCodeRow>;

export type ErrorCode = keyof typeof errorCodes;

export interface ErrorFacts {
  /** What went wrong, one clause, without a full stop. */
  readonly what: string;
  /** Where: a field path, a file, an address. */
  readonly where?: string;
  /** What the user can do about it. */
  readonly hint?: string;
  /** The error underneath; for logs, never shown as the message. */
  readonly cause?: unknown;
}

/** The only error class that leaves a module. Match on `code`. */
export class CtrlmeshError extends Error {
  readonly code: ErrorCode;
  readonly where: string | undefined;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, facts: ErrorFacts) {
    super(sentence(facts), facts.cause === undefined ? undefined : { cause: facts.cause });
    this.name = "CtrlmeshError";
    this.code = code;
    this.where = facts.where;
    this.hint = facts.hint;
  }
}

function sentence({ what, where, hint }: ErrorFacts): string {
  const place = where === undefined ? "" : `${where}: `;
  return hint === undefined ? `${place}${what}` : `${place}${what}; ${hint}`;
}

/** Turns anything thrown into a CtrlmeshError; one that is already keeps its code. */
export function toCtrlmeshError(thrown: unknown, fallback: ErrorCode = "INTERNAL"): CtrlmeshError {
  if (thrown instanceof CtrlmeshError) return thrown;
  const what = thrown instanceof Error ? thrown.message : String(thrown);
  return new CtrlmeshError(fallback, { what, cause: thrown });
}

/** For the `default` of an exhaustive switch. */
export function unreachable(value: never): never {
  throw new CtrlmeshError("INTERNAL", { what: `unexpected value ${JSON.stringify(value)}` });
}
