import { Code, ConnectError } from "@connectrpc/connect";
import type { CtrlmeshError, ErrorCode } from "#api/errors";
import type { Log } from "#runtime/log";
import type { PodIdentity } from "./authenticate.ts";

/** Streams that ended with an error, by its code, since the start of the process. For metrics. */
export type Refusals = Map<ErrorCode, number>;

/** Trailer with the code of ours, finer than gRPC's. */
export const codeTrailer = "ctrlmesh-code";

const grpcCodes: Partial<Record<ErrorCode, Code>> = {
  UNAUTHENTICATED: Code.Unauthenticated,
  POD_NOT_BOUND: Code.PermissionDenied,
  POD_NOT_INJECTED: Code.PermissionDenied,
  POD_NOT_FOUND: Code.NotFound,
  PROTOCOL_VIOLATION: Code.InvalidArgument,
  INVALID_KEY_FILE: Code.InvalidArgument,
  TIMEOUT: Code.DeadlineExceeded,
  INTERNAL: Code.Internal,
};

/**
 * What a stream that ends with an error is told; logged and counted here. Codes without a gRPC code of their own are
 * our trouble, not the proxy's: it is told to come again (UNAVAILABLE). To one whose token has not been accepted the
 * details are not told, since they name the API server.
 */
export function refusalOf(
  error: CtrlmeshError,
  pod: PodIdentity | undefined,
  { log, refusals }: { readonly log: Log; readonly refusals: Refusals },
): ConnectError {
  refusals.set(error.code, (refusals.get(error.code) ?? 0) + 1);
  const fields = pod === undefined ? {} : { pod: pod.name, namespace: pod.namespace, shard: pod.shard };
  const isOver = error.code === "CONTROL_STREAM_FAILED";
  log[isOver ? "debug" : "warn"]("control stream refused", { ...fields, code: error.code, error });
  const code = grpcCodes[error.code];
  const isHidden = pod === undefined && code === undefined;
  const message = isHidden ? "the manager can't check who this is now" : error.message;
  return new ConnectError(message, code ?? Code.Unavailable, { [codeTrailer]: error.code });
}
