import type { GroupVersionResource, KubernetesObject } from "#api/meta";
import type { ResourceKind } from "#kube/client/client";
import { namespaceLabels, type StampSettings } from "#webhook/stamp";

/**
 * The labels that an object in this namespace must carry; none in an exempt one. The one rule of all writers:
 * webhook, namespaces, healing and audit take it from here, and the admission policy copies what it gave the
 * namespace.
 */
export function wantedLabels(namespace: string, settings: StampSettings): Readonly<Record<string, string>> {
  return namespaceLabels(namespace, settings);
}

/** Those of the wanted labels that an object lacks or has otherwise; undefined when it is right as it is. */
export function labelDifference(
  present: Readonly<Record<string, string>> | undefined,
  wanted: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> | undefined {
  const differing = Object.entries(wanted).filter(([key, value]) => present?.[key] !== value);
  return differing.length === 0 ? undefined : Object.fromEntries(differing);
}

/**
 * JSON merge patch (RFC 7396) that sets labels and touches nothing else. Without resourceVersion on purpose:
 * the labels follow from the namespace's name alone, so they are right for any state of the object.
 */
export function labelPatch(labels: Readonly<Record<string, string>>): {
  readonly type: "merge";
  readonly body: unknown;
} {
  return { type: "merge", body: { metadata: { labels } } };
}

/** `resource.group`, or `resource` alone in the core group: how kinds are named to people and in keys. */
export function kindName({ group, resource }: Pick<GroupVersionResource, "group" | "resource">): string {
  return group === "" ? resource : `${resource}.${group}`;
}

export function namespacedKind({ group, version, resource }: GroupVersionResource): ResourceKind {
  return { group, version, resource, namespaced: true };
}

/** Name and labels are all that labelling looks at; the rest of 100,000 objects need not be kept. */
export function trimToLabels({ metadata = {} }: KubernetesObject): KubernetesObject {
  const { name, namespace, uid, resourceVersion, labels } = metadata;
  return {
    metadata: {
      ...(name === undefined ? {} : { name }),
      ...(namespace === undefined ? {} : { namespace }),
      ...(uid === undefined ? {} : { uid }),
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
      ...(labels === undefined ? {} : { labels }),
    },
  };
}
