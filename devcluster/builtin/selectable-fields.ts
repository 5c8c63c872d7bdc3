import { arrayOf, at, objectOf, stringOf } from "../json.ts";
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
    "status.podIPs": arrayOf(at(status, "podIPs"))
      .map((each) => stringOf(at(each, "ip")))
      .join(","),
    "status.nominatedNodeName": stringOf(at(status, "nominatedNodeName")),
  }),
  namespaces: ({ status }) => ({ "status.phase": stringOf(at(status, "phase")) }),
  nodes: ({ spec }) => ({ "spec.unschedulable": String(at(spec, "unschedulable") === true) }),
  secrets: ({ type }) => ({ type: stringOf(type) }),
  services: ({ spec }) => ({
    "spec.clusterIP": stringOf(at(spec, "clusterIP")),
    "spec.type": stringOf(at(spec, "type")),
  }),
  events: (event) => ({
    ...referenceFields("involvedObject", event.involvedObject),
    reason: stringOf(event.reason),
    reportingComponent: stringOf(event.reportingComponent),
    source: stringOf(at(event.source, "component")) || stringOf(event.reportingComponent),
    type: stringOf(event.type),
  }),
  "apps/replicasets": ({ status }) => ({ "status.replicas": String(at(status, "replicas") ?? 0) }),
};

/** The same events under the names that events.k8s.io has for their fields. */
const eventsGroupFields: Fields = (event) => ({
  ...referenceFields("regarding", event.regarding),
  reason: stringOf(event.reason),
  reportingController: stringOf(event.reportingController),
  type: stringOf(event.type),
});

function referenceFields(prefix: string, reference: unknown): Record<string, string> {
  const fields = involved.map((field) => [`${prefix}.${field}`, stringOf(objectOf(reference)[field])]);
  return Object.fromEntries(fields);
}

/** @param group of the resource that is asked for, which need not be the collection's */
export function selectableFieldsOf(collection: string, group: string): Fields | undefined {
  return group === "events.k8s.io" ? eventsGroupFields : fieldsByCollection[collection];
}
