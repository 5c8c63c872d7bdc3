import { arrayOf, isObject, type JsonObject, objectOf, stringOf, stringsOf } from "../json.ts";
import type { Schema } from "./schema.ts";

const prefix = "#/components/schemas/";
const types = new Set(["object", "array", "string", "integer", "number", "boolean"]);

/** Compiles a table of definitions that refer to each other. */
export function compileDefinitions(definitions: JsonObject): ReadonlyMap<string, Schema> {
  const compiled = new Map<string, Schema>();
  for (const [name, source] of Object.entries(definitions)) compiled.set(name, { source });
  for (const [name, source] of Object.entries(definitions)) {
    const target = compiled.get(name);
    if (target !== undefined) Object.assign(target, compileSchema(source, compiled));
  }
  return compiled;
}

/**
 * Compiles one schema (JSONSchemaProps or OpenAPI v3). Unknown keywords are ignored: a CustomResourceDefinition is
 * checked for them when it is written.
 */
export function compileSchema(source: unknown, definitions: ReadonlyMap<string, Schema> = new Map()): Schema {
  const from = objectOf(source);
  const compile = (part: unknown): Schema => compileSchema(part, definitions);
  const target = definitions.get(stringOf(from.$ref).slice(prefix.length));
  if (target !== undefined) return referenceTo(target, from);
  const schema: Schema = { source };
  const type = types.has(stringOf(from.type)) ? from.type : undefined;
  if (isType(type)) schema.type = type;
  if (isObject(from.properties)) {
    schema.properties = new Map(
      Object.entries(from.properties).map(([name, property]) => [name, compile(property)]),
    );
  }
  if (isObject(from.additionalProperties)) schema.additionalProperties = compile(from.additionalProperties);
  if (from.additionalProperties === true) schema.additionalProperties = { source: {} };
  if (isObject(from.items)) schema.items = compile(from.items);
  if (isObject(from.not)) schema.not = compile(from.not);
  if (Array.isArray(from.allOf)) schema.allOf = from.allOf.map(compile);
  if (Array.isArray(from.anyOf)) schema.anyOf = from.anyOf.map(compile);
  if (Array.isArray(from.oneOf)) schema.oneOf = from.oneOf.map(compile);
  if (Array.isArray(from.required)) schema.required = stringsOf(from.required);
  if (Array.isArray(from.enum)) schema.enum = arrayOf(from.enum);
  if (from.default !== undefined) schema.default = from.default;
  if (typeof from.format === "string") schema.format = from.format;
  if (typeof from.pattern === "string") schema.pattern = compilePattern(from.pattern);
  copyBounds(from, schema);
  copyExtensions(from, schema);
  return schema;
}

/**
 * A reference is its target, seen live (the target may not be compiled yet), with the list kind, merge key and
 * default that stand beside it.
 */
function referenceTo(target: Schema, beside: JsonObject): Schema {
  const schema: Schema = Object.create(target, { source: { value: beside, enumerable: true } });
  copyExtensions(beside, schema);
  if (beside.default !== undefined) schema.default = beside.default;
  return schema;
}

function isType(value: unknown): value is NonNullable<Schema["type"]> {
  return typeof value === "string" && types.has(value);
}

/** RE2 patterns of schemas are nearly all valid here; one that is not matches everything, as it can't be judged. */
export function compilePattern(pattern: string): RegExp {
  try {
    return new RegExp(pattern, "u");
  } catch {
    try {
      return new RegExp(pattern);
    } catch {
      return /(?:)/;
    }
  }
}

const numericBounds = [
  ...(["minimum", "maximum", "multipleOf", "minLength", "maxLength"] as const),
  ...(["minItems", "maxItems", "minProperties", "maxProperties"] as const),
];

function copyBounds(from: JsonObject, schema: Schema): void {
  for (const bound of numericBounds) {
    const value = from[bound];
    if (typeof value === "number") schema[bound] = value;
  }
  if (from.exclusiveMinimum === true) schema.exclusiveMinimum = true;
  if (from.exclusiveMaximum === true) schema.exclusiveMaximum = true;
  if (from.nullable === true) schema.nullable = true;
}

function copyExtensions(from: JsonObject, schema: Schema): void {
  if (from["x-kubernetes-int-or-string"] === true) schema.intOrString = true;
  if (from["x-kubernetes-preserve-unknown-fields"] === true) schema.preserveUnknown = true;
  if (from["x-kubernetes-embedded-resource"] === true) schema.embeddedResource = true;
  const listType = from["x-kubernetes-list-type"];
  if (listType === "atomic" || listType === "set" || listType === "map") schema.listType = listType;
  const keys = from["x-kubernetes-list-map-keys"];
  if (Array.isArray(keys)) schema.listMapKeys = stringsOf(keys);
  const mapType = from["x-kubernetes-map-type"];
  if (mapType === "atomic" || mapType === "granular") schema.mapType = mapType;
  const strategy = stringOf(from["x-kubernetes-patch-strategy"]);
  if (strategy.split(",").includes("merge")) schema.mergesLists = true;
  const mergeKey = from["x-kubernetes-patch-merge-key"];
  if (typeof mergeKey === "string") schema.mergeKey = mergeKey;
}
