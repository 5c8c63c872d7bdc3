import { arrayOf, at, isEqual, isObject, numberOf, objectOf } from "../json.ts";
import type { KubeObject } from "../kube-object.ts";

/** What the server itself sets on objects of built-in kinds when they are written. */

export function prepareNamespace(namespace: KubeObject): void {
  namespace.spec = { finalizers: ["kubernetes"] };
  namespace.status = { phase: "Active" };
}

/** The finalizer inside the spec goes only through /finalize. */
export function keepNamespace(next: KubeObject, previous: KubeObject): void {
  next.spec = previous.spec;
}

export function preparePod(pod: KubeObject): void {
  pod.status = { phase: "Pending", qosClass: qualityOfService(pod) };
}

export function keepPodStatus(next: KubeObject, previous: KubeObject): void {
  const quality = at(previous.status, "qosClass");
  if (isObject(next.status) && quality !== undefined) next.status = { ...next.status, qosClass: quality };
}

function qualityOfService({ spec }: KubeObject): string {
  const resources = [...arrayOf(at(spec, "initContainers")), ...arrayOf(at(spec, "containers"))].map((each) =>
    objectOf(at(each, "resources")),
  );
  const isSet = (value: unknown): boolean => Object.keys(objectOf(value)).length > 0;
  if (resources.every(({ requests, limits }) => !isSet(requests) && !isSet(limits))) return "BestEffort";
  const isGuaranteed = resources.every(
    ({ requests, limits }) =>
      isObject(limits) && ["cpu", "memory"].every((name) => name in limits) && isEqual(requests, limits),
  );
  return isGuaranteed ? "Guaranteed" : "Burstable";
}

/** Until the names are accepted. */
export function prepareDefinition(definition: KubeObject): void {
  const stored = arrayOf(at(definition.spec, "versions"))
    .filter((version) => at(version, "storage") === true)
    .map((version) => at(version, "name"));
  definition.status = { acceptedNames: { plural: "", kind: "" }, conditions: [], storedVersions: stored };
}

export function emptyStatus(object: KubeObject): void {
  object.status = {};
}

export function prepareStatefulSet(set: KubeObject): void {
  set.status = { replicas: 0, availableReplicas: 0 };
}

export function prepareReplicaSet(set: KubeObject): void {
  set.status = { replicas: 0 };
}

export function pendingClaim(claim: KubeObject): void {
  claim.status = { phase: "Pending" };
}

/** Gives addresses out of 10.96.0.0/16, one after the other; they lead nowhere. */
export function serviceAddresses(): (service: KubeObject) => void {
  let next = 10;
  return (service) => {
    const spec = objectOf(service.spec);
    service.status = { loadBalancer: {} };
    if (spec.type === "ExternalName") return;
    const given = spec.clusterIP;
    const address = given === undefined || given === "" ? `10.96.${next >> 8}.${next++ & 255}` : given;
    service.spec = {
      ...spec,
      clusterIP: address,
      clusterIPs: [address],
      ipFamilies: spec.ipFamilies ?? ["IPv4"],
      ipFamilyPolicy: spec.ipFamilyPolicy ?? "SingleStack",
    };
  };
}

/** Addresses stay, also when the update does not name them. */
export function keepServiceAddresses(next: KubeObject, previous: KubeObject): void {
  const spec = objectOf(next.spec);
  const before = objectOf(previous.spec);
  for (const field of ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"])
    if (before[field] !== undefined) spec[field] ??= before[field];
  next.spec = spec;
}

const podGraceSeconds = 30;

/** A pod without a node, or one that has ended, has nobody to wait for. */
export function podGraceSecondsOf(pod: KubeObject, asked: number | undefined): number {
  const phase = at(pod.status, "phase");
  if ((at(pod.spec, "nodeName") ?? "") === "" || phase === "Succeeded" || phase === "Failed") return 0;
  const own = at(pod.spec, "terminationGracePeriodSeconds");
  return asked ?? (own === undefined ? podGraceSeconds : numberOf(own));
}
