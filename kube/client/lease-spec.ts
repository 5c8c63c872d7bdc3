import type { KubernetesObject } from "#api/meta";
import { isRecord } from "./api-error.ts";

/** coordination.k8s.io/v1 LeaseSpec as far as elections use it. */
export interface LeaseSpec {
  /** "" is free. */
  readonly holderIdentity: string;
  readonly leaseDurationSeconds: number | undefined;
  readonly acquireTime: string | undefined;
  readonly renewTime: string | undefined;
  readonly leaseTransitions: number;
}

/** Members of another type than the API's are read as absent: a broken record is a free lease that changes hands. */
export function leaseSpecOf(object: KubernetesObject): LeaseSpec {
  const spec = isRecord(object.spec) ? object.spec : {};
  return {
    holderIdentity: text(spec.holderIdentity) ?? "",
    leaseDurationSeconds: count(spec.leaseDurationSeconds),
    acquireTime: text(spec.acquireTime),
    renewTime: text(spec.renewTime),
    leaseTransitions: count(spec.leaseTransitions) ?? 0,
  };
}

/** metav1.MicroTime of milliseconds since the epoch. */
export function microTime(epochMs: number): string {
  return new Date(epochMs).toISOString().replace("Z", "000Z");
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function count(value: unknown): number | undefined {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 ? value : undefined;
}
