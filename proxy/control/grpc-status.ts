import { CtrlmeshError, type ErrorCode, errorCodes, type CtrlmeshError as Failure } from "#api/errors";
import type { Fields } from "./response-frames.ts";

/** gRPC status codes that mean the same as one of ours (grpc/doc/statuscodes.md). */
const codeByStatus: Readonly<Record<string, ErrorCode>> = {
  "3": "PROTOCOL_VIOLATION",
  "4": "TIMEOUT",
  "5": "POD_NOT_FOUND",
  "7": "POD_NOT_BOUND",
  "16": "UNAUTHENTICATED",
};

const nameByStatus: Readonly<Record<string, string>> = {
  "1": "CANCELLED",
  "2": "UNKNOWN",
  "3": "INVALID_ARGUMENT",
  "4": "DEADLINE_EXCEEDED",
  "5": "NOT_FOUND",
  "7": "PERMISSION_DENIED",
  "8": "RESOURCE_EXHAUSTED",
  "9": "FAILED_PRECONDITION",
  "10": "ABORTED",
  "12": "UNIMPLEMENTED",
  "13": "INTERNAL",
  "14": "UNAVAILABLE",
  "16": "UNAUTHENTICATED",
};

/** Trailer in which the manager names its own error code, which is finer than gRPC's. */
export const codeTrailer = "ctrlmesh-code";

/**
 * Why the manager ended the stream, from the trailers (or from the headers of an answer without a body); undefined
 * when it ended it in order.
 */
export function failureOf(trailers: Fields): Failure | undefined {
  const status = trailers.get("grpc-status");
  if (status === "0") return undefined;
  if (status === undefined) {
    return new CtrlmeshError("CONTROL_STREAM_FAILED", {
      what: "the manager ended the stream without a gRPC status",
    });
  }
  const what = decodeMessage(trailers.get("grpc-message")) || "the manager gave no reason";
  const own = trailers.get(codeTrailer);
  const code =
    own !== undefined && isErrorCode(own) ? own : (codeByStatus[status] ?? "CONTROL_STREAM_FAILED");
  return new CtrlmeshError(code, { what: `${nameByStatus[status] ?? `gRPC status ${status}`}: ${what}` });
}

function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(errorCodes, text);
}

/** Percent-decoding of grpc-message; what is no valid encoding stays as it is (gRPC over HTTP/2, "Status-Message"). */
function decodeMessage(text: string | undefined): string {
  if (text === undefined) return "";
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
