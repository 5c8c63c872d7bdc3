import { at, objectOf, stringOf } from "../json.ts";
import type { KubeObject } from "../kube-object.ts";

type Fields = (object: KubeObject) => Readonly<Record<string, string>>;

const involved = ["kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath"];

/** What a fieldSelector may name, by collection. */
const fieldsByCollection: Readonly<Record<string, Fields>> = {
  pods: ({ spec, status }) => ({
    "spec.nodeName": stringOf(at(spec, "nodeName")),
    "spec.restartPolicy": stringOf(at(spec, "restartPolicy")),
    "spec.schedulerName": stringOf(at(spec, "schedulerName")),
    "spec.serviceAccountName": stringOf(at(spec, "serviceAccountName")),
    "spec.hostNetwork": String(at(spec, "hostNetwork") === true),
    "status.phase": stringOf(at(status, "phase")),
    "status.podIP": stringOf(at(status, "podIP")),
    "status.nominatedNodeName": stringOf(at(status, "nominatedNodeName")),
  }),
  namespaces: ({ status }) => ({ "status.phase": stringOf(at(status, "phase")) }),
  nodes: ({ spec }) => ({ "spec.unschedulable": String(at(spec, "unschedulable") === true) }),
  secrets: ({ type }) => ({ type: stringOf(type) }),
  services: ({ spec }) => ({
    "spec.clusterIP": stringOf(at(spec, "clusterIP")),
    "spec.type": stringOf(at(spec, "type")),
  }),
  events: (event) => {
    // Also asked in the names of events.k8s.io.
    const object = objectOf(event.involvedObject ?? event.regarding);
    const reference = involved.map((field) => [`involvedObject.${field}`, stringOf(object[field])]);
    return {
      ...Object.fromEntries(reference),
      reason: stringOf(event.reason),
      reportingComponent: stringOf(event.reportingComponent ?? event.reportingController),
      source: stringOf(at(event.source, "component")) || stringOf(event.reportingComponent),
      type: stringOf(event.type),
    };
  },
  "apps/replicasets": ({ status }) => ({ "status.replicas": String(at(status, "replicas") ?? 0) }),
};

export function selectableFieldsOf(collection: string): Fields | undefined {
  return fieldsByCollection[collection];
}
