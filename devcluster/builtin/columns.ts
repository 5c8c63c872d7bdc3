import { arrayOf, at, numberOf, objectOf, stringMapOf, stringOf } from "../json.ts";
import type { KubeObject } from "../kube-object.ts";
import type { Column } from "../resource.ts";
import { age } from "../table.ts";
import { podCells } from "./pod-columns.ts";

type Cell = (object: KubeObject, nowMs: number) => unknown;

export function column(name: string, cell: Cell, priority = 0, type = "string"): Column {
  return { name, type, format: "", priority, description: "", cell };
}

export const nameColumn: Column = {
  ...column("Name", ({ metadata }) => metadata.name ?? ""),
  format: "name",
};
export const ageColumn = column("Age", ({ metadata }, nowMs) =>
  age(stringOf(metadata.creationTimestamp), nowMs),
);
const createdColumn = {
  ...column("Created At", ({ metadata }) => metadata.creationTimestamp ?? "", 0, "date"),
};

const text =
  (...path: string[]): Cell =>
  (object) =>
    stringOf(at(object, ...path)) || "<none>";
const count =
  (...path: string[]): Cell =>
  (object) =>
    numberOf(at(object, ...path));
const size =
  (...fields: string[]): Cell =>
  (object) =>
    fields.reduce((sum, field) => sum + Object.keys(objectOf(object[field])).length, 0);
const joined = (values: readonly string[]): string => (values.length === 0 ? "<none>" : values.join(","));

const containers =
  (field: string): Cell =>
  ({ spec }) =>
    joined(arrayOf(at(spec, "template", "spec", "containers")).map((each) => stringOf(at(each, field))));

const workloadColumns = [
  column("Containers", containers("name"), 1),
  column("Images", containers("image"), 1),
];
const selectorColumn = column("Selector", ({ spec }) => printLabels(at(spec, "selector", "matchLabels")), 1);

function printLabels(labels: unknown): string {
  return joined(Object.entries(stringMapOf(labels)).map(([key, value]) => `${key}=${value}`));
}

const eventColumns: Column[] = [
  column("Last Seen", (event, nowMs) =>
    age(
      stringOf(at(event, "series", "lastObservedTime")) ||
        stringOf(event.lastTimestamp) ||
        stringOf(event.eventTime) ||
        event.metadata.creationTimestamp,
      nowMs,
    ),
  ),
  column("Type", text("type")),
  column("Reason", text("reason")),
  column("Object", ({ involvedObject }) => {
    const kind = stringOf(at(involvedObject, "kind")).toLowerCase();
    return `${kind}/${stringOf(at(involvedObject, "name"))}`;
  }),
  column("Subobject", (event) => stringOf(at(event, "involvedObject", "fieldPath")), 1),
  column(
    "Source",
    (event) => stringOf(at(event, "source", "component")) || stringOf(event.reportingComponent),
    1,
  ),
  column("Message", (event) => stringOf(event.message).trim()),
  column(
    "First Seen",
    (event, nowMs) =>
      age(
        stringOf(event.firstTimestamp) || stringOf(event.eventTime) || event.metadata.creationTimestamp,
        nowMs,
      ),
    1,
  ),
  column("Count", (event) => String(numberOf(event.count) || 1), 1),
  { ...nameColumn, priority: 1 },
];

function subjects(kind: string): Cell {
  return (binding) =>
    arrayOf(binding.subjects)
      .filter((subject) => at(subject, "kind") === kind)
      .map((subject) => {
        const namespace = stringOf(at(subject, "namespace"));
        const name = stringOf(at(subject, "name"));
        return namespace === "" ? name : `${namespace}/${name}`;
      })
      .join(", ");
}

const bindingColumns = [
  nameColumn,
  column("Role", ({ roleRef }) => `${stringOf(at(roleRef, "kind"))}/${stringOf(at(roleRef, "name"))}`),
  ageColumn,
  column("Users", subjects("User"), 1),
  column("Groups", subjects("Group"), 1),
  column("ServiceAccounts", subjects("ServiceAccount"), 1),
];

const webhookColumns = [
  nameColumn,
  column("Webhooks", ({ webhooks }) => arrayOf(webhooks).length, 0, "integer"),
  ageColumn,
];

function nodeStatus({ status, spec }: KubeObject): string {
  const ready = arrayOf(at(status, "conditions")).find((condition) => at(condition, "type") === "Ready");
  const base = ready === undefined ? "Unknown" : at(ready, "status") === "True" ? "Ready" : "NotReady";
  return at(spec, "unschedulable") === true ? `${base},SchedulingDisabled` : base;
}

function nodeAddress(type: string): Cell {
  return ({ status }) =>
    stringOf(
      at(
        arrayOf(at(status, "addresses")).find((each) => at(each, "type") === type),
        "address",
      ),
    ) || "<none>";
}

const nodeColumns = [
  nameColumn,
  column("Status", nodeStatus),
  column("Roles", ({ metadata }) => {
    const prefix = "node-role.kubernetes.io/";
    return joined(
      Object.keys(metadata.labels ?? {})
        .filter((key) => key.startsWith(prefix))
        .map((key) => key.slice(prefix.length)),
    );
  }),
  ageColumn,
  column("Version", (node) => stringOf(at(node, "status", "nodeInfo", "kubeletVersion"))),
  column("Internal-IP", nodeAddress("InternalIP"), 1),
  column("External-IP", nodeAddress("ExternalIP"), 1),
  column("OS-Image", (node) => stringOf(at(node, "status", "nodeInfo", "osImage")) || "<unknown>", 1),
  column(
    "Kernel-Version",
    (node) => stringOf(at(node, "status", "nodeInfo", "kernelVersion")) || "<unknown>",
    1,
  ),
  column(
    "Container-Runtime",
    (node) => stringOf(at(node, "status", "nodeInfo", "containerRuntimeVersion")) || "<unknown>",
    1,
  ),
];

function servicePorts({ spec }: KubeObject): string {
  return joined(
    arrayOf(at(spec, "ports")).map((port) => {
      const nodePort = numberOf(at(port, "nodePort"));
      const own = numberOf(at(port, "port"));
      return `${own}${nodePort === 0 ? "" : `:${nodePort}`}/${stringOf(at(port, "protocol"))}`;
    }),
  );
}

function endpointAddresses({ subsets }: KubeObject): string {
  return joined(
    arrayOf(subsets).flatMap((subset) =>
      arrayOf(at(subset, "addresses")).flatMap((address) =>
        arrayOf(at(subset, "ports")).map(
          (port) => `${stringOf(at(address, "ip"))}:${numberOf(at(port, "port"))}`,
        ),
      ),
    ),
  );
}

function controllerOf({ metadata }: KubeObject): string {
  const owner = (metadata.ownerReferences ?? []).find((each) => each.controller === true);
  if (owner === undefined) return "<none>";
  const group = owner.apiVersion.includes("/") ? `.${owner.apiVersion.split("/")[0]}` : "";
  return `${owner.kind.toLowerCase()}${group}/${owner.name}`;
}

/** Columns of each built-in collection; the others have name and age. */
const columnsByCollection: Readonly<Record<string, readonly Column[]>> = {
  pods: [
    nameColumn,
    column("Ready", (pod) => podCells(pod, 0).ready),
    column("Status", (pod) => podCells(pod, 0).status),
    column("Restarts", (pod, nowMs) => podCells(pod, nowMs).restarts),
    ageColumn,
    column("IP", text("status", "podIP"), 1),
    column("Node", text("spec", "nodeName"), 1),
    column("Nominated Node", text("status", "nominatedNodeName"), 1),
    column("Readiness Gates", () => "<none>", 1),
  ],
  namespaces: [nameColumn, column("Status", text("status", "phase")), ageColumn],
  nodes: nodeColumns,
  configmaps: [nameColumn, column("Data", size("data", "binaryData"), 0, "string"), ageColumn],
  secrets: [nameColumn, column("Type", text("type")), column("Data", size("data"), 0, "string"), ageColumn],
  services: [
    nameColumn,
    column("Type", text("spec", "type")),
    column("Cluster-IP", text("spec", "clusterIP")),
    column("External-IP", () => "<none>"),
    column("Port(s)", servicePorts),
    ageColumn,
    column("Selector", ({ spec }) => printLabels(at(spec, "selector")), 1),
  ],
  endpoints: [nameColumn, column("Endpoints", endpointAddresses), ageColumn],
  "discovery.k8s.io/endpointslices": [
    nameColumn,
    column("AddressType", text("addressType")),
    column("Ports", ({ ports }) => joined(arrayOf(ports).map((port) => String(numberOf(at(port, "port")))))),
    column("Endpoints", ({ endpoints }) =>
      joined(arrayOf(endpoints).flatMap((each) => arrayOf(at(each, "addresses")).map(String))),
    ),
    ageColumn,
  ],
  persistentvolumeclaims: [
    nameColumn,
    column("Status", text("status", "phase")),
    column("Volume", (claim) => stringOf(at(claim, "spec", "volumeName"))),
    column("Capacity", (claim) => stringOf(at(claim, "status", "capacity", "storage"))),
    column("Access Modes", ({ spec }) => arrayOf(at(spec, "accessModes")).join(",")),
    column("StorageClass", (claim) => stringOf(at(claim, "spec", "storageClassName"))),
    ageColumn,
    column("VolumeMode", text("spec", "volumeMode"), 1),
  ],
  events: eventColumns,
  "apps/statefulsets": [
    nameColumn,
    column(
      "Ready",
      ({ spec, status }) => `${numberOf(at(status, "readyReplicas"))}/${numberOf(at(spec, "replicas"))}`,
    ),
    ageColumn,
    ...workloadColumns,
  ],
  "apps/deployments": [
    nameColumn,
    column(
      "Ready",
      ({ spec, status }) => `${numberOf(at(status, "readyReplicas"))}/${numberOf(at(spec, "replicas"))}`,
    ),
    column("Up-to-date", count("status", "updatedReplicas")),
    column("Available", count("status", "availableReplicas")),
    ageColumn,
    ...workloadColumns,
    selectorColumn,
  ],
  "apps/replicasets": [
    nameColumn,
    column("Desired", count("spec", "replicas"), 0, "integer"),
    column("Current", count("status", "replicas"), 0, "integer"),
    column("Ready", count("status", "readyReplicas"), 0, "integer"),
    ageColumn,
    ...workloadColumns,
    selectorColumn,
  ],
  "apps/controllerrevisions": [
    nameColumn,
    column("Controller", controllerOf),
    column("Revision", (object) => String(numberOf(object.revision))),
    ageColumn,
  ],
  "coordination.k8s.io/leases": [
    nameColumn,
    column("Holder", (lease) => stringOf(at(lease, "spec", "holderIdentity"))),
    ageColumn,
  ],
  "rbac.authorization.k8s.io/roles": [nameColumn, createdColumn],
  "rbac.authorization.k8s.io/clusterroles": [nameColumn, createdColumn],
  "rbac.authorization.k8s.io/rolebindings": bindingColumns,
  "rbac.authorization.k8s.io/clusterrolebindings": bindingColumns,
  "admissionregistration.k8s.io/mutatingwebhookconfigurations": webhookColumns,
  "admissionregistration.k8s.io/validatingwebhookconfigurations": webhookColumns,
  "apiextensions.k8s.io/customresourcedefinitions": [nameColumn, createdColumn],
};

export function columnsOf(collection: string): readonly Column[] {
  return columnsByCollection[collection] ?? [nameColumn, ageColumn];
}
