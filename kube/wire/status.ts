import { type ErrorCode, errorCodes } from "#api/errors";
import { type CborMap, cborObject } from "./cbor.ts";
import type { Encoding } from "./media-type.ts";
import { type ProtobufField, protobufEnvelope, protobufMessage } from "./protobuf-envelope.ts";

/** metav1.Status as far as we send it: always a failure. */
export interface KubernetesStatus {
  /** HTTP status. */
  readonly code: number;
  readonly reason: string;
  readonly message: string;
  readonly details: StatusDetails | undefined;
}

export interface StatusDetails {
  readonly name: string;
  readonly group: string;
  /** The API server writes the resource here when the kind is not known. */
  readonly kind: string;
  readonly retryAfterSeconds: number | undefined;
}

export interface StatusFacts {
  /** Set when it differs from the table's. */
  readonly httpStatus?: number;
  readonly name?: string;
  readonly group?: string;
  readonly resource?: string;
  readonly retryAfterSeconds?: number | undefined;
}

/**
 * Status for one of our error codes; reason and HTTP status come from the table. The code stands in the
 * message, so that it can be found in an operator's log.
 */
export function kubernetesStatus(
  code: ErrorCode,
  message: string,
  facts: StatusFacts = {},
): KubernetesStatus {
  const { reason, status } = errorCodes[code];
  const { name = "", group = "", resource = "", retryAfterSeconds } = facts;
  const hasDetails = name !== "" || resource !== "" || retryAfterSeconds !== undefined;
  return {
    code: facts.httpStatus ?? status,
    reason,
    message: `${message} (${code})`,
    details: hasDetails ? { name, group, kind: resource, retryAfterSeconds } : undefined,
  };
}

/** A whole response body. JSON ends with a newline, as on the API server. */
export function encodeStatus(status: KubernetesStatus, encoding: Encoding): Uint8Array {
  switch (encoding) {
    case "json":
      return new TextEncoder().encode(`${JSON.stringify(statusJson(status))}\n`);
    case "protobuf":
      return protobufEnvelope("v1", "Status", protobufMessage(statusFields(status)));
    case "cbor":
      return cborObject(statusJson(status));
  }
}

/** Members in the API server's order; empty ones are left out. */
function statusJson(status: KubernetesStatus): CborMap {
  const { details } = status;
  return {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message: status.message,
    reason: status.reason,
    ...(details === undefined ? {} : { details: detailsJson(details) }),
    code: status.code,
  };
}

function detailsJson({ name, group, kind, retryAfterSeconds }: StatusDetails): CborMap {
  return {
    ...(name === "" ? {} : { name }),
    ...(group === "" ? {} : { group }),
    ...(kind === "" ? {} : { kind }),
    ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
  };
}

/** Field numbers of apimachinery `pkg/apis/meta/v1/generated.proto`. */
function statusFields({ code, reason, message, details }: KubernetesStatus): ProtobufField[] {
  const listMeta = protobufMessage([
    [1, ""],
    [2, ""],
    [3, ""],
  ]);
  const fields: ProtobufField[] = [
    [1, listMeta],
    [2, "Failure"],
    [3, message],
    [4, reason],
  ];
  if (details !== undefined) fields.push([5, protobufMessage(detailsFields(details))]);
  fields.push([6, code]);
  return fields;
}

function detailsFields({ name, group, kind, retryAfterSeconds }: StatusDetails): ProtobufField[] {
  return [
    [1, name],
    [2, group],
    [3, kind],
    [5, retryAfterSeconds ?? 0],
    [6, ""],
  ];
}
