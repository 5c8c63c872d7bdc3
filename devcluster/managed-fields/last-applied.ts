import { isObject, type JsonObject, setField } from "../json.ts";
import type { KubeObject } from "../kube-object.ts";
import type { Schema } from "../schema/schema.ts";
import { fieldSetOf } from "./compare.ts";
import { emptySet, type FieldSet } from "./field-set.ts";

/** Where client-side apply keeps what was applied last. */
const annotation = "kubectl.kubernetes.io/last-applied-configuration";

/** Only server-side apply under this name is taken for the successor of client-side apply. */
export const clientSideApplier = "kubectl";

/** The fields that client-side apply set last: server-side apply by kubectl may take them over without force. */
export function lastAppliedFields(schema: Schema, { metadata }: KubeObject): FieldSet {
  const text = metadata.annotations?.[annotation];
  if (text === undefined) return emptySet();
  try {
    return fieldSetOf(schema, JSON.parse(text));
  } catch {
    return emptySet();
  }
}

/** Keeps the annotation in step with what is applied on the server, in place, so that both ways can be mixed. */
export function syncLastApplied(object: KubeObject, applied: KubeObject): void {
  const { annotations } = object.metadata;
  if (annotations?.[annotation] === undefined) return;
  const { [annotation]: _own, ...others } = applied.metadata.annotations ?? {};
  const { annotations: _annotations, ...metadata } = applied.metadata;
  const named = Object.keys(others).length === 0 ? metadata : { ...metadata, annotations: others };
  const text = `${JSON.stringify(sorted({ ...applied, metadata: named }))}\n`;
  object.metadata.annotations = { ...annotations, [annotation]: text };
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isObject(value)) return value;
  const result: JsonObject = {};
  for (const field of Object.keys(value).sort()) setField(result, field, sorted(value[field]));
  return result;
}
