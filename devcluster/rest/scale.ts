import { printSelector, requirementsOf } from "#api/label-selector";
import { invalidValue } from "../field-errors.ts";
import { at, isObject, numberOf, objectOf, stringMapOf } from "../json.ts";
import { isKubeObject, type KubeObject } from "../kube-object.ts";
import { invalid } from "../status-error.ts";

/** The autoscaling/v1 Scale of a workload. */
export function scaleOf({ metadata, spec, status }: KubeObject): KubeObject {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = metadata;
  const matchLabels = stringMapOf(at(spec, "selector", "matchLabels"));
  const identity = { name, namespace, uid, resourceVersion, creationTimestamp };
  return {
    kind: "Scale",
    apiVersion: "autoscaling/v1",
    metadata: Object.fromEntries(Object.entries(identity).filter(([, value]) => value !== undefined)),
    spec: { replicas: numberOf(at(spec, "replicas")) },
    status: {
      replicas: numberOf(at(status, "replicas")),
      selector: printSelector(requirementsOf({ matchLabels })),
    },
  };
}

/** The workload with the replicas of a Scale. @throws StatusError 422 */
export function withScale(workload: KubeObject, scale: unknown): KubeObject {
  const replicas = at(scale, "spec", "replicas") ?? 0;
  if (typeof replicas !== "number" || !Number.isInteger(replicas) || replicas < 0) {
    throw invalid("Scale", "autoscaling", workload.metadata.name ?? "", [
      invalidValue("spec.replicas", replicas, "must be greater than or equal to 0"),
    ]);
  }
  const given =
    isObject(scale) && isKubeObject({ apiVersion: "", kind: "", ...scale }) ? objectOf(scale.metadata) : {};
  const version = typeof given.resourceVersion === "string" ? { resourceVersion: given.resourceVersion } : {};
  return {
    ...workload,
    metadata: { ...workload.metadata, ...version },
    spec: { ...objectOf(workload.spec), replicas },
  };
}
