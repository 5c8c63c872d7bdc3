import { type ErrorCode, errorCodes } from "#api/errors";
import { type KubernetesStatus, kubernetesStatus } from "#kube/wire/status";
import type { Refuse } from "./pipeline.ts";

/** A refusal for a reason that lies with the connection, not with the rules. */
export function localRefusal(code: ErrorCode, message: string, retryAfterSeconds?: number): Refuse {
  return {
    kind: "refuse",
    status: errorCodes[code].status,
    code,
    message,
    retryAfterSeconds,
    info: undefined,
  };
}

/** What the client is told. */
export function statusOfRefusal(refusal: Refuse): KubernetesStatus {
  const { code, message, status, retryAfterSeconds, info } = refusal;
  const { apiGroup: group = "", resource = "", name = "" } = info ?? {};
  return kubernetesStatus(code, message, { httpStatus: status, group, resource, name, retryAfterSeconds });
}
