import { CtrlmeshError, type ErrorCode } from "#api/errors";

/** What the API server said when it refused: the body's Status, or what could be made of another body. */
export interface ApiStatus {
  /** HTTP status, or the code inside an ERROR event of a watch. */
  readonly httpStatus: number;
  /** apimachinery's StatusReason, "" when the body had none. */
  readonly reason: string;
  readonly message: string;
  /** A list's 410 may carry a token that goes on at a newer resourceVersion. */
  readonly continueToken: string | undefined;
  readonly retryAfterSeconds: number | undefined;
}

const refusals = new WeakMap<CtrlmeshError, ApiStatus>();

/** The API server's own answer behind an error of this folder; undefined when it gave none. */
export function apiStatusOf(error: unknown): ApiStatus | undefined {
  return error instanceof CtrlmeshError ? refusals.get(error) : undefined;
}

export function isApiError(error: unknown, code: ErrorCode): boolean {
  return error instanceof CtrlmeshError && error.code === code;
}

/** The error for a refused request. `where` is method and path, without query. */
export function apiError(status: ApiStatus, where: string): CtrlmeshError {
  const error = new CtrlmeshError(codeOf(status.httpStatus), {
    what: status.message,
    where,
  });
  refusals.set(error, status);
  return error;
}

/** Reads an error body: JSON Status, else the first 200 characters of whatever came. */
export function parseStatus(httpStatus: number, body: string): ApiStatus {
  const fallback: ApiStatus = {
    httpStatus,
    reason: "",
    message: body.trim() === "" ? `HTTP ${httpStatus}` : `HTTP ${httpStatus}: ${body.trim().slice(0, 200)}`,
    continueToken: undefined,
    retryAfterSeconds: undefined,
  };
  try {
    return statusFrom(JSON.parse(body), fallback);
  } catch {
    return fallback; // a proxy's HTML or an aggregated server's plain text
  }
}

/** Narrows a parsed Status object; members of another type than expected are taken from `fallback`. */
export function statusFrom(value: unknown, fallback: ApiStatus): ApiStatus {
  if (!isRecord(value) || value.kind !== "Status") return fallback;
  const metadata = isRecord(value.metadata) ? value.metadata : {};
  const details = isRecord(value.details) ? value.details : {};
  return {
    httpStatus: typeof value.code === "number" ? value.code : fallback.httpStatus,
    reason: typeof value.reason === "string" ? value.reason : "",
    message: typeof value.message === "string" && value.message !== "" ? value.message : fallback.message,
    continueToken:
      typeof metadata.continue === "string" && metadata.continue !== "" ? metadata.continue : undefined,
    retryAfterSeconds: typeof details.retryAfterSeconds === "number" ? details.retryAfterSeconds : undefined,
  };
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function codeOf(httpStatus: number): ErrorCode {
  switch (httpStatus) {
    case 401:
    case 403:
      return "API_FORBIDDEN";
    case 404:
      return "API_NOT_FOUND";
    case 409:
      return "API_CONFLICT";
    case 410:
      return "API_EXPIRED";
    default:
      return "API_REQUEST_FAILED";
  }
}
