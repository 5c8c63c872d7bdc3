/** What decides which shard answers a webhook request. */
export type ReviewSubject =
  /** An AdmissionReview for an object in a namespace, or for that namespace itself. */
  | { readonly kind: "namespaced"; readonly namespace: string }
  /** An AdmissionReview for an object that is in no namespace. */
  | { readonly kind: "cluster-scoped" }
  /** Anything else, such as a ConversionReview: it belongs to no shard. */
  | { readonly kind: "other" };

export const noReview: ReviewSubject = { kind: "other" };
const clusterScoped: ReviewSubject = { kind: "cluster-scoped" };

/**
 * Reads an AdmissionReview, admission.k8s.io/v1 or v1beta1, as far as sharding depends on it. Never throws: what is
 * no review is for the operator to refuse.
 *
 * A Namespace counts as an object in itself: it belongs to the shard that has its objects. The API server leaves
 * `request.namespace` empty where one is created, and fills it elsewhere.
 */
export function subjectOf(body: Uint8Array): ReviewSubject {
  let review: unknown;
  try {
    review = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("utf8"));
  } catch {
    return noReview;
  }
  if (!isRecord(review) || review.kind !== "AdmissionReview" || !isRecord(review.request)) return noReview;
  const { request } = review;
  const namespace = text(request.namespace) ?? (isForNamespace(request) ? nameOf(request) : undefined);
  return namespace === undefined ? clusterScoped : { kind: "namespaced", namespace };
}

function isForNamespace({ resource }: Record<string, unknown>): boolean {
  return isRecord(resource) && resource.resource === "namespaces" && (resource.group ?? "") === "";
}

function nameOf({ name, object }: Record<string, unknown>): string | undefined {
  const metadata = isRecord(object) ? object.metadata : undefined;
  return text(name) ?? (isRecord(metadata) ? text(metadata.name) : undefined);
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
