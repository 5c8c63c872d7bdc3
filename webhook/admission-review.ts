import { type Static, Type } from "typebox";
import { type CtrlmeshError, errorCodes } from "#api/errors";
import { jsonPatch, type PatchOperation } from "./json-patch.ts";
import { parseWith } from "./pod.ts";

/** AdmissionReview (admission.k8s.io), request and response. v1beta1 has the same shape. */

const optional = Type.Optional;
const kindSchema = Type.Object({ group: Type.String(), version: Type.String(), kind: Type.String() });

const requestSchema = Type.Object({
  uid: Type.String({ minLength: 1 }),
  kind: kindSchema,
  resource: Type.Object({ group: Type.String(), version: Type.String(), resource: Type.String() }),
  subResource: optional(Type.String()),
  name: optional(Type.String()),
  namespace: optional(Type.String()),
  operation: Type.Union([
    Type.Literal("CREATE"),
    Type.Literal("UPDATE"),
    Type.Literal("DELETE"),
    Type.Literal("CONNECT"),
  ]),
  object: optional(Type.Unknown()),
  oldObject: optional(Type.Unknown()),
  dryRun: optional(Type.Union([Type.Boolean(), Type.Null()])),
});

const reviewSchema = Type.Object({
  apiVersion: Type.Union([Type.Literal("admission.k8s.io/v1"), Type.Literal("admission.k8s.io/v1beta1")]),
  kind: Type.Literal("AdmissionReview"),
  request: requestSchema,
});

export type AdmissionRequest = Static<typeof requestSchema>;
export type AdmissionReview = Static<typeof reviewSchema>;

export type Verdict =
  | {
      readonly allowed: true;
      readonly patch?: readonly PatchOperation[];
      readonly warnings?: readonly string[];
    }
  | { readonly allowed: false; readonly error: CtrlmeshError; readonly warnings?: readonly string[] };

export const allow: Verdict = { allowed: true };

/**
 * @throws ADMISSION_REVIEW_INVALID with the path of the first field that is wrong
 */
export function parseAdmissionReview(body: unknown): AdmissionReview {
  return parseWith(reviewSchema, body, "AdmissionReview");
}

/** An allowed verdict that turns `before` into `after`. */
export function allowWith(before: unknown, after: unknown, warnings: readonly string[] = []): Verdict {
  return { allowed: true, patch: jsonPatch(before, after), warnings };
}

export function refuse(error: CtrlmeshError, warnings: readonly string[] = []): Verdict {
  return { allowed: false, error, warnings };
}

/** The body of the answer. */
export function reviewResponse(review: AdmissionReview, verdict: Verdict): unknown {
  const { warnings = [] } = verdict;
  return {
    apiVersion: review.apiVersion,
    kind: "AdmissionReview",
    response: {
      uid: review.request.uid,
      allowed: verdict.allowed,
      ...(warnings.length === 0 ? {} : { warnings }),
      ...(verdict.allowed ? patchOf(verdict.patch ?? []) : { status: statusOf(verdict.error) }),
    },
  };
}

function patchOf(patch: readonly PatchOperation[]): { patchType?: string; patch?: string } {
  if (patch.length === 0) return {};
  return { patchType: "JSONPatch", patch: Buffer.from(JSON.stringify(patch)).toString("base64") };
}

function statusOf({ code, message }: CtrlmeshError) {
  const { reason, status } = errorCodes[code];
  return { status: "Failure", reason, code: status, message };
}

/** Labels and annotations of any object, as far as they are maps of strings. */
const metaSchema = Type.Object({
  metadata: Type.Object({
    name: optional(Type.String()),
    deletionTimestamp: optional(Type.String()),
    namespace: optional(Type.String()),
    labels: optional(Type.Union([Type.Record(Type.String(), Type.String()), Type.Null()])),
    annotations: optional(Type.Union([Type.Record(Type.String(), Type.String()), Type.Null()])),
  }),
});

export type WithMeta = Static<typeof metaSchema>;

/**
 * @throws ADMISSION_REVIEW_INVALID
 */
export function parseWithMeta(object: unknown, where: string): WithMeta {
  return parseWith(metaSchema, object, where);
}

/** The same object with these labels set; `undefined` takes one away. */
export function withLabels(
  object: WithMeta,
  changes: Readonly<Record<string, string | undefined>>,
): WithMeta {
  const merged = { ...object.metadata.labels, ...changes };
  const labels = Object.fromEntries(
    Object.entries(merged).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
  const { labels: present, ...metadata } = object.metadata;
  if (Object.keys(labels).length === 0 && (present ?? undefined) === undefined) return object;
  return { ...object, metadata: { ...metadata, labels } };
}
