import { invalidValue } from "../field-errors.ts";
import { isObject, type JsonObject, objectOf, setField, stringOf } from "../json.ts";
import { isKubeObject, type KubeObject } from "../kube-object.ts";
import { apiVersionOf, type ResourceDefinition } from "../resource.ts";
import { keepsUnknown, type Schema } from "../schema/schema.ts";
import { pruned, setDefaults } from "../schema/shape.ts";
import { badRequest, invalid } from "../status-error.ts";

export type FieldValidation = "Strict" | "Warn" | "Ignore";

/**
 * Turns a body into an object of a kind: JSON types checked, unknown fields dropped (and told or refused), defaults
 * filled in.
 *
 * @throws StatusError 400
 */
export function decodeObject(
  definition: ResourceDefinition,
  value: unknown,
  validation: FieldValidation,
  warnings: string[],
): KubeObject {
  const object = decodeWithoutDefaults(definition, value, validation, warnings);
  fillDefaults(definition, object);
  return object;
}

/** The same for what a server-side applier says: it owns only that, not the defaults. */
export function decodeWithoutDefaults(
  definition: ResourceDefinition,
  value: unknown,
  validation: FieldValidation,
  warnings: string[],
): KubeObject {
  const object = withKind(definition, value);
  const complain = (why: string): never => {
    const { kind, version } = definition;
    throw badRequest(`${kind} in version ${JSON.stringify(version)} cannot be handled as a ${kind}: ${why}`);
  };
  const shape = definition.isCustom ? metadataOnly(definition.schema) : definition.schema;
  const problem = typeProblem(shape, object, definition.kind, "");
  if (problem !== undefined) complain(problem);
  const unknown: string[] = [];
  const known = pruned(
    definition.schema,
    definition.isCustom ? object : withoutNulls(shape, object),
    unknown,
  );
  const messages = unknown.sort().map((path) => `unknown field ${JSON.stringify(path)}`);
  if (messages.length > 0 && validation === "Strict")
    complain(`strict decoding error: ${messages.join(", ")}`);
  if (validation === "Warn") warnings.push(...messages);
  if (!isKubeObject(known)) return complain("no object");
  return known;
}

/** Defaults of the kind, in place; also needed after admission changed an object. */
export function fillDefaults(definition: ResourceDefinition, object: KubeObject): void {
  if (definition.isCustom) setDefaults(definition.schema, object);
  definition.strategy.setDefaults?.(object);
}

function withKind(definition: ResourceDefinition, value: unknown): JsonObject {
  if (!isObject(value))
    throw badRequest(`the object provided is unrecognized (must be of type ${definition.kind})`);
  const apiVersion = apiVersionOf(definition);
  const given = stringOf(value.apiVersion);
  const kind = stringOf(value.kind);
  if (definition.isCustom && (given === "" || kind === "")) {
    const missing = kind === "" ? "Kind" : "apiVersion";
    throw badRequest(
      `the object provided is unrecognized (must be of type ${definition.kind}): Object '${missing}' is missing in the body`,
    );
  }
  if (definition.isCustom && given === apiVersion && kind !== definition.kind) {
    const name = stringOf(objectOf(value.metadata).name);
    throw invalid(kind, definition.group, name, [invalidValue("kind", kind, `must be ${definition.kind}`)]);
  }
  if (given !== "" && given !== apiVersion) {
    throw badRequest(
      `the API version in the data (${given}) does not match the expected API version (${apiVersion})`,
    );
  }
  if (kind !== "" && kind !== definition.kind) {
    throw badRequest(
      `${kind} in version ${JSON.stringify(definition.version)} cannot be handled as a ${definition.kind}: the kinds differ`,
    );
  }
  const metadata = value.metadata ?? {};
  return { ...value, apiVersion, kind: definition.kind, metadata };
}

/** Types inside a custom resource are found by its validation; only metadata is decoded. */
function metadataOnly(schema: Schema): Schema {
  const metadata = schema.properties?.get("metadata");
  return {
    type: "object",
    properties: new Map(metadata === undefined ? [] : [["metadata", metadata]]),
    source: {},
  };
}

function typeProblem(schema: Schema, value: unknown, path: string, field: string): string | undefined {
  if (value === null || value === undefined) return undefined;
  const found = Array.isArray(value)
    ? "array"
    : isObject(value)
      ? "object"
      : typeof value === "boolean"
        ? "bool"
        : typeof value;
  if (!fits(schema, value)) {
    const wanted = goType(schema);
    return `json: cannot unmarshal ${found} into Go struct field ${path}${field === "" ? "" : `.${field}`} of type ${wanted}`;
  }
  const below = field === "" ? path : `${path}.${field}`;
  if (Array.isArray(value)) {
    const { items } = schema;
    if (items === undefined) return undefined;
    return firstOf(value, (element) => typeProblem(items, element, path, field));
  }
  if (!isObject(value)) return undefined;
  return firstOf(Object.entries(value), ([name, element]) => {
    const property = schema.properties?.get(name);
    if (property !== undefined) return typeProblem(property, element, below, name);
    return schema.additionalProperties === undefined
      ? undefined
      : typeProblem(schema.additionalProperties, element, path, field);
  });
}

function firstOf<T>(values: Iterable<T>, find: (value: T) => string | undefined): string | undefined {
  for (const value of values) {
    const found = find(value);
    if (found !== undefined) return found;
  }
  return undefined;
}

function fits(schema: Schema, value: unknown): boolean {
  if (schema.intOrString) return typeof value === "string" || typeof value === "number";
  switch (schema.type) {
    case "object":
      return isObject(value);
    case "array":
      return Array.isArray(value);
    case "integer":
      return typeof value === "number" && Number.isInteger(value);
    case undefined:
      return true;
    default:
      return typeof value === schema.type;
  }
}

function goType(schema: Schema): string {
  if (schema.type === "integer") return schema.format ?? "int";
  if (schema.format === "byte") return "[]uint8";
  if (schema.type === "boolean") return "bool";
  return schema.type ?? "object";
}

/** Go does not print empty maps and lists that may be absent; an empty struct is a value. */
function isLeftOut(schema: Schema | undefined, value: unknown): boolean {
  if (Array.isArray(value)) return value.length === 0 && schema?.type === "array";
  return isObject(value) && Object.keys(value).length === 0 && schema?.additionalProperties !== undefined;
}

/** Go decodes null as absent; free-form parts keep it. */
function withoutNulls(schema: Schema | undefined, value: unknown): unknown {
  if (schema === undefined) return value;
  if (Array.isArray(value)) return value.map((element) => withoutNulls(schema.items, element));
  if (!isObject(value)) return value;
  if (schema.additionalProperties === undefined && keepsUnknown(schema)) return value;
  const result: JsonObject = {};
  for (const [field, element] of Object.entries(value)) {
    if (element === null) continue;
    const below = schema.properties?.get(field) ?? schema.additionalProperties;
    if (
      isLeftOut(below, element) &&
      schema.required?.includes(field) !== true &&
      schema.properties?.has(field)
    )
      continue;
    setField(result, field, withoutNulls(below, element));
  }
  return result;
}
