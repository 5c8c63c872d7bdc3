import { labels } from "#api/names";
import { type Pod, parsePod } from "#webhook/pod";
import { type Fields, fieldsOf, textOf } from "./fields.ts";

/** An object that makes pods, or is one. */
export interface Workload {
  readonly kind: string;
  readonly name: string;
  /** Undefined where the manifest leaves it to kubectl. */
  readonly namespace: string | undefined;
  /** The first of its pods, as far as the manifest tells: name, labels and annotations, spec. */
  readonly pod: Pod;
  /** The object with another pod (labels, annotations, spec) in the place of the pod. */
  readonly withPod: (pod: Pod) => Record<string, unknown>;
}

/** Where the pod's metadata and spec lie, by API group and kind. */
const templates: Readonly<Record<string, readonly string[]>> = {
  "/Pod": [],
  "/ReplicationController": ["spec", "template"],
  "apps/Deployment": ["spec", "template"],
  "apps/StatefulSet": ["spec", "template"],
  "apps/DaemonSet": ["spec", "template"],
  "apps/ReplicaSet": ["spec", "template"],
  "batch/Job": ["spec", "template"],
  "batch/CronJob": ["spec", "jobTemplate", "spec", "template"],
};

/**
 * The workload in an object; undefined for any other kind.
 *
 * @throws ADMISSION_REVIEW_INVALID for a pod that is none, with the path of the field
 */
export function workloadOf(object: Fields): Workload | undefined {
  const { apiVersion, kind, metadata } = object;
  if (typeof apiVersion !== "string" || typeof kind !== "string") return undefined;
  const group = apiVersion.includes("/") ? apiVersion.slice(0, apiVersion.indexOf("/")) : "";
  const path = templates[`${group}/${kind}`];
  if (path === undefined) return undefined;
  const { name, generateName, namespace } = fieldsOf(metadata);
  const template = fieldsOf(path.reduce<unknown>((value, key) => fieldsOf(value)[key], object));
  return {
    kind,
    name: textOf(name) ?? textOf(generateName) ?? "",
    namespace: textOf(namespace),
    pod: parsePod(firstPod(withoutNulls({ metadata: {}, ...template }), kind, object)),
    withPod: (pod) =>
      replaced(object, path, { ...template, metadata: podMetadata(template, pod), spec: pod.spec }),
  };
}

/** A StatefulSet's controller gives each pod a label with its name, by which shards select pods. */
function firstPod(template: Fields, kind: string, object: Fields): Fields {
  if (kind !== "StatefulSet") return template;
  const { start = 0 } = fieldsOf(fieldsOf(object.spec).ordinals);
  const podName = `${fieldsOf(object.metadata).name}-${start}`;
  const metadata = fieldsOf(template.metadata);
  return {
    ...template,
    metadata: { ...metadata, labels: { ...fieldsOf(metadata.labels), [labels.podName]: podName } },
  };
}

/** Labels and annotations of the injected pod, without the label that only the controller gives. */
function podMetadata(template: Fields, { metadata }: Pod): Fields {
  const given = fieldsOf(fieldsOf(template.metadata).labels);
  const kept = Object.entries(metadata.labels ?? {}).filter(
    ([key]) => key !== labels.podName || given[key] !== undefined,
  );
  return {
    ...fieldsOf(template.metadata),
    labels: Object.fromEntries(kept),
    annotations: metadata.annotations,
  };
}

function replaced(object: Fields, path: readonly string[], value: Fields): Record<string, unknown> {
  const [key, ...rest] = path;
  if (key === undefined) return { ...value };
  return { ...object, [key]: replaced(fieldsOf(object[key]), rest, value) };
}

/** The API server takes null for "not given". */
function withoutNulls(value: Fields): Fields {
  return JSON.parse(JSON.stringify(value), (_key, each: unknown) => (each === null ? undefined : each));
}
