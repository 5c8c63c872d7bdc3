import { CtrlmeshError } from "#api/errors";
import type { KubernetesObject } from "#api/meta";
import { apiError, isRecord, statusFrom } from "./api-error.ts";
import type { ListPage, WatchEvent } from "./client.ts";

/**
 * An object as the server sent it, without `managedFields`: they are often half of it and nobody here reads
 * them.
 * @throws MALFORMED_RESPONSE
 */
export function parseObject(value: unknown): KubernetesObject {
  if (!isKubernetesObject(value)) {
    throw new CtrlmeshError("MALFORMED_RESPONSE", { what: "the answer is no Kubernetes object" });
  }
  if (isRecord(value.metadata)) delete value.metadata.managedFields;
  return value;
}

/** @throws MALFORMED_RESPONSE */
export function parseListPage(value: unknown, where: string): ListPage {
  if (!isRecord(value) || !isRecord(value.metadata)) {
    throw new CtrlmeshError("MALFORMED_RESPONSE", { what: "the answer is no list", where });
  }
  const { resourceVersion, continue: continueToken, remainingItemCount } = value.metadata;
  const listed = Array.isArray(value.items) ? value.items : []; // Go writes an empty list as null
  const kind = typeof value.kind === "string" ? value.kind.replace(/List$/, "") : undefined;
  return {
    items: listed.map((each: unknown) => withKind(parseObject(each), kind, value.apiVersion)),
    resourceVersion: typeof resourceVersion === "string" ? resourceVersion : "",
    continueToken: typeof continueToken === "string" && continueToken !== "" ? continueToken : undefined,
    remainingItemCount: typeof remainingItemCount === "number" ? remainingItemCount : undefined,
  };
}

/**
 * @throws MALFORMED_RESPONSE; for an ERROR event the error of its Status, 410 as API_EXPIRED
 */
export function parseWatchEvent(value: unknown, where: string): WatchEvent {
  if (!isRecord(value) || !isRecord(value.object)) {
    throw new CtrlmeshError("MALFORMED_RESPONSE", { what: "a line of the watch is no event", where });
  }
  const { type, object } = value;
  switch (type) {
    case "ADDED":
    case "MODIFIED":
    case "DELETED":
      return { type, object: parseObject(object) };
    case "BOOKMARK":
      return { type, resourceVersion: parseObject(object).metadata?.resourceVersion ?? "" };
    case "ERROR":
      throw apiError(statusFrom(object, noStatus), where);
    default:
      throw new CtrlmeshError("MALFORMED_RESPONSE", { what: `unknown event ${JSON.stringify(type)}`, where });
  }
}

const noStatus = {
  httpStatus: 500,
  reason: "",
  message: "the watch ended with an error",
  continueToken: undefined,
  retryAfterSeconds: undefined,
};

/** Items of a typed list carry neither; a watch's objects do, and readers should see no difference. */
function withKind(object: KubernetesObject, kind: string | undefined, apiVersion: unknown): KubernetesObject {
  if (object.kind !== undefined || kind === undefined || typeof apiVersion !== "string") return object;
  return { apiVersion, kind, ...object };
}

function isKubernetesObject(value: unknown): value is KubernetesObject {
  if (!isRecord(value)) return false;
  const { metadata } = value;
  if (metadata === undefined || metadata === null) return true;
  if (!isRecord(metadata)) return false;
  return (
    isTextOrAbsent(metadata.name) &&
    isTextOrAbsent(metadata.namespace) &&
    isTextOrAbsent(metadata.resourceVersion) &&
    isTextOrAbsent(metadata.uid) &&
    isTextMapOrAbsent(metadata.labels) &&
    isTextMapOrAbsent(metadata.annotations)
  );
}

function isTextOrAbsent(value: unknown): boolean {
  return value === undefined || typeof value === "string";
}

function isTextMapOrAbsent(value: unknown): boolean {
  return value === undefined || (isRecord(value) && Object.values(value).every((v) => typeof v === "string"));
}
