import { isObject, type JsonObject, setField } from "../json.ts";
import { fieldSchema, keepsUnknown, type Schema } from "./schema.ts";

/** Fields that every resource and embedded resource has whatever its schema says. */
const resourceFields = new Set(["apiVersion", "kind", "metadata"]);

/**
 * A copy without the fields that the schema does not know; their paths are added to `unknown`, worded as
 * strict decoding reports them.
 */
export function pruned(schema: Schema, value: unknown, unknown: string[], path = ""): unknown {
  if (Array.isArray(value)) {
    const { items } = schema;
    if (items === undefined) return value;
    return value.map((element, index) => pruned(items, element, unknown, `${path}[${index}]`));
  }
  if (!isObject(value)) return value;
  const result: JsonObject = {};
  for (const [field, element] of Object.entries(value)) {
    const below = path === "" ? field : `${path}.${field}`;
    const known = fieldSchema(schema, field);
    if (known !== undefined) setField(result, field, pruned(known, element, unknown, below));
    else if (keepsUnknown(schema) || (schema.embeddedResource && resourceFields.has(field)))
      setField(result, field, element);
    else unknown.push(below);
  }
  return result;
}

/** Fills in the schema's defaults, in place, where a field is absent (or null though not nullable). */
export function setDefaults(schema: Schema, value: unknown): void {
  if (Array.isArray(value)) {
    if (schema.items !== undefined) for (const element of value) setDefaults(schema.items, element);
    return;
  }
  if (!isObject(value)) return;
  for (const [field, property] of schema.properties ?? []) {
    const present = Object.hasOwn(value, field);
    if (property.default !== undefined && (!present || (value[field] === null && property.nullable !== true)))
      setField(value, field, structuredClone(property.default));
    // null where null is not allowed and nothing is the default: the field counts as absent.
    else if (present && value[field] === null && property.nullable !== true) delete value[field];
    if (Object.hasOwn(value, field)) setDefaults(property, value[field]);
  }
  if (schema.additionalProperties !== undefined) {
    for (const [field, element] of Object.entries(value))
      if (schema.properties?.has(field) !== true) setDefaults(schema.additionalProperties, element);
  }
}
