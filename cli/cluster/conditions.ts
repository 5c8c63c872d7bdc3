import type { Condition, KubernetesObject } from "#api/meta";
import { isRecord } from "#kube/client/api-error";

const statuses: ReadonlySet<unknown> = new Set(["True", "False", "Unknown"]);

/** Conditions of an object that may be written by any version: what is no condition is left out. */
export function conditionsOf({ status }: KubernetesObject): readonly Condition[] {
  const list = isRecord(status) && Array.isArray(status.conditions) ? status.conditions : [];
  return list.filter(isCondition);
}

function isCondition(value: unknown): value is Condition {
  return (
    isRecord(value) &&
    typeof value.type === "string" &&
    statuses.has(value.status) &&
    typeof value.reason === "string" &&
    typeof value.message === "string"
  );
}
