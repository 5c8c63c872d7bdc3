import { bucketOf, type HashName } from "#api/bucket";
import { annotations, labels, type ShardLabels } from "#api/names";
import {
  type AdmissionRequest,
  allow,
  allowWith,
  parseWithMeta,
  type Verdict,
  withLabels,
} from "./admission-review.ts";
import type { NamespaceFacts, NamespaceLister } from "./listers.ts";

/** What is stamped, the same for webhook, policy and healing. */
export interface StampSettings {
  readonly shardLabels: ShardLabels;
  readonly hash: HashName;
  /** Never labelled, nor their objects. */
  readonly exemptNamespaces: readonly string[];
}

/** The three labels of a namespace, by its name; none for an exempt one. */
export function namespaceLabels(name: string, settings: StampSettings): Readonly<Record<string, string>> {
  if (settings.exemptNamespaces.includes(name)) return {};
  const { shardLabels, hash } = settings;
  return {
    [shardLabels.hash]: String(bucketOf(name, hash)),
    [shardLabels.namespace]: name,
    [shardLabels.control]: "true",
  };
}

/**
 * Namespace create and update: sets the shard labels at creation and copies the opt-in annotation to the
 * label, which is all that a webhook's namespaceSelector sees. A label that came from an annotation goes with
 * it; one that the user set stays.
 */
export function mutateNamespace(request: AdmissionRequest, settings: StampSettings): Verdict {
  if (request.operation !== "CREATE" && request.operation !== "UPDATE") return allow;
  const namespace = parseWithMeta(request.object, "request.object");
  const name = namespace.metadata.name ?? request.name ?? "";
  const stamped = request.operation === "CREATE" && name !== "" ? namespaceLabels(name, settings) : {};
  const optIn = namespace.metadata.annotations?.[annotations.enableProxy];
  const mirrored = optIn ?? previousMirror(request, namespace.metadata.labels?.[labels.enableProxy]);
  const changes = mirrored === undefined ? stamped : { ...stamped, [labels.enableProxy]: labelOf(mirrored) };
  return allowWith(request.object, withLabels(namespace, changes));
}

/** null: the annotation was taken away and the label is its copy. */
function previousMirror(request: AdmissionRequest, label: string | undefined): null | undefined {
  if (request.operation !== "UPDATE" || label === undefined) return undefined;
  const before = parseWithMeta(request.oldObject, "request.oldObject").metadata;
  const annotation = before.annotations?.[annotations.enableProxy];
  return annotation !== undefined && labelOf(annotation) === label ? null : undefined;
}

/** Annotations hold any text, labels do not. */
function labelOf(optIn: string | null): string | undefined {
  if (optIn === null) return undefined;
  return optIn === "true" ? "true" : "false";
}

/**
 * Create and update of the kinds to label, on servers without MutatingAdmissionPolicy: copies the labels of
 * the namespace when it is controlled; a cluster-scoped object goes by its own name. Never refuses: what is
 * missed is healed later.
 */
export function mutateResource(
  request: AdmissionRequest,
  settings: StampSettings,
  namespaces: Pick<NamespaceLister, "cached">,
): Verdict {
  if (request.operation !== "CREATE" && request.operation !== "UPDATE") return allow;
  const object = parseWithMeta(request.object, "request.object");
  const namespaceName = request.namespace ?? "";
  const wanted =
    namespaceName === ""
      ? clusterScopedLabels(object.metadata.name ?? request.name ?? "", settings)
      : copiedLabels(namespaces.cached(namespaceName), settings);
  return allowWith(request.object, withLabels(object, wanted));
}

function clusterScopedLabels(name: string, settings: StampSettings): Readonly<Record<string, string>> {
  if (name === "" || settings.exemptNamespaces.includes(name)) return {};
  const { shardLabels, hash } = settings;
  return { [shardLabels.hash]: String(bucketOf(name, hash)), [shardLabels.control]: "true" };
}

function copiedLabels(
  namespace: NamespaceFacts | undefined,
  { shardLabels, exemptNamespaces }: StampSettings,
): Readonly<Record<string, string>> {
  if (namespace === undefined || exemptNamespaces.includes(namespace.name)) return {};
  if (namespace.labels[shardLabels.control] !== "true") return {};
  return Object.fromEntries(
    Object.values(shardLabels).flatMap((key: string) => {
      const value = namespace.labels[key];
      return value === undefined ? [] : [[key, value]];
    }),
  );
}
