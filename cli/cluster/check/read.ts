import type { KubernetesObject } from "#api/meta";
import { isApiError, isRecord } from "#kube/client/api-error";
import type { CallOptions, KubeClient, ObjectName, ResourceKind } from "#kube/client/client";

/** An object, or undefined where there is none (or no such kind). */
export async function readIfThere(
  client: KubeClient,
  kind: ResourceKind,
  name: ObjectName,
  call: CallOptions,
): Promise<KubernetesObject | undefined> {
  try {
    return await client.get(kind, name, call);
  } catch (thrown) {
    if (isApiError(thrown, "API_NOT_FOUND")) return undefined;
    throw thrown;
  }
}

/** A member on the way down of something that anybody may have written. */
export function memberOf(value: unknown, ...path: readonly string[]): unknown {
  return path.reduce<unknown>((each, key) => (isRecord(each) ? each[key] : undefined), value);
}

export function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

export function recordsOf(value: unknown): readonly Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}
