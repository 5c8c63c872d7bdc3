import {
  duplicate,
  invalidValue,
  notSupported,
  required,
  tooLong,
  tooMany,
  typeInvalid,
} from "../field-errors.ts";
import { isEqual, isObject, type JsonObject } from "../json.ts";
import type { Cause } from "../status-error.ts";
import { hasFormat } from "./formats.ts";
import { fieldSchema, type Schema } from "./schema.ts";

/**
 * Checks a value against a structural schema. CEL rules (`x-kubernetes-validations`) are not evaluated.
 *
 * @returns findings worded as the API server words them for custom resources; empty when valid
 */
export function validate(schema: Schema, value: unknown, path = ""): Cause[] {
  const causes: Cause[] = [];
  check(schema, value, path, causes);
  return causes;
}

function check(schema: Schema, value: unknown, path: string, causes: Cause[]): void {
  if (value === null && schema.nullable) return;
  const type = typeOf(value);
  if (!hasType(schema, type, value)) {
    const wanted = schema.intOrString ? "integer,string" : (schema.type ?? "");
    causes.push(
      typeInvalid(path, type, `${path} in body must be of type ${wanted}: ${JSON.stringify(type)}`),
    );
    return;
  }
  if (schema.enum !== undefined && !schema.enum.some((allowed) => isEqual(allowed, value)))
    causes.push(notSupported(path, value, schema.enum));
  if (typeof value === "string") checkText(schema, value, path, causes);
  else if (typeof value === "number") checkNumber(schema, value, path, causes);
  else if (Array.isArray(value)) checkList(schema, value, path, causes);
  else if (isObject(value)) checkObject(schema, value, path, causes);
  checkCombinations(schema, value, path, causes);
}

function typeOf(value: unknown): string {
  if (value === null || value === undefined) return "null";
  if (Array.isArray(value)) return "array";
  if (typeof value === "number") return Number.isInteger(value) ? "integer" : "number";
  return typeof value;
}

function hasType(schema: Schema, type: string, value: unknown): boolean {
  if (schema.intOrString) return type === "integer" || type === "string";
  if (schema.type === undefined) return value !== undefined;
  return schema.type === type || (schema.type === "number" && type === "integer");
}

function checkText(schema: Schema, value: string, path: string, causes: Cause[]): void {
  // Bounds count code points, as Go's utf8.RuneCountInString does.
  const length =
    schema.minLength === undefined && schema.maxLength === undefined ? 0 : Array.from(value).length;
  if (schema.minLength !== undefined && length < schema.minLength)
    causes.push(
      invalidValue(path, value, `${path} in body should be at least ${schema.minLength} chars long`),
    );
  if (schema.maxLength !== undefined && length > schema.maxLength)
    causes.push(tooLong(path, schema.maxLength));
  if (schema.pattern !== undefined && !schema.pattern.test(value)) {
    const source = isObject(schema.source) ? String(schema.source.pattern) : schema.pattern.source;
    causes.push(invalidValue(path, value, `${path} in body should match '${source}'`));
  }
  if (schema.format !== undefined && !hasFormat(schema.format, value))
    causes.push(
      typeInvalid(path, value, `${path} in body must be of type ${schema.format}: ${JSON.stringify(value)}`),
    );
}

function checkNumber(schema: Schema, value: number, path: string, causes: Cause[]): void {
  const { minimum, maximum, multipleOf } = schema;
  if (minimum !== undefined && (schema.exclusiveMinimum ? value <= minimum : value < minimum)) {
    const relation = schema.exclusiveMinimum ? "greater than" : "greater than or equal to";
    causes.push(invalidValue(path, value, `${path} in body should be ${relation} ${minimum}`));
  }
  if (maximum !== undefined && (schema.exclusiveMaximum ? value >= maximum : value > maximum)) {
    const relation = schema.exclusiveMaximum ? "less than" : "less than or equal to";
    causes.push(invalidValue(path, value, `${path} in body should be ${relation} ${maximum}`));
  }
  if (multipleOf !== undefined && value % multipleOf !== 0)
    causes.push(invalidValue(path, value, `${path} in body should be a multiple of ${multipleOf}`));
  if (schema.format === "int32" && (value < -(2 ** 31) || value > 2 ** 31 - 1))
    causes.push(invalidValue(path, value, `${path} in body must be of type int32: "int64"`));
}

function checkList(schema: Schema, value: readonly unknown[], path: string, causes: Cause[]): void {
  if (schema.maxItems !== undefined && value.length > schema.maxItems)
    causes.push(tooMany(path, value.length, schema.maxItems));
  if (schema.minItems !== undefined && value.length < schema.minItems)
    causes.push(
      invalidValue(path, value.length, `${path} in body should have at least ${schema.minItems} items`),
    );
  const { items } = schema;
  if (items !== undefined)
    for (const [index, element] of value.entries()) check(items, element, `${path}[${index}]`, causes);
  if (schema.listType === "set" || schema.listType === "map") checkDuplicates(schema, value, path, causes);
}

function checkDuplicates(schema: Schema, value: readonly unknown[], path: string, causes: Cause[]): void {
  const seen = new Set<string>();
  for (const [index, element] of value.entries()) {
    const key = schema.listType === "map" ? keyOf(schema, element) : element;
    const text = JSON.stringify(key);
    if (seen.has(text)) causes.push(duplicate(`${path}[${index}]`, key));
    seen.add(text);
  }
}

function keyOf(schema: Schema, element: unknown): JsonObject {
  const from = isObject(element) ? element : {};
  const keys = [...(schema.listMapKeys ?? [])].sort();
  return Object.fromEntries(
    keys.map((key) => [key, from[key] ?? schema.items?.properties?.get(key)?.default]),
  );
}

function checkObject(schema: Schema, value: JsonObject, path: string, causes: Cause[]): void {
  const below = (field: string): string => (path === "" ? field : `${path}.${field}`);
  for (const field of schema.required ?? [])
    if (!Object.hasOwn(value, field)) causes.push(required(below(field)));
  const count = Object.keys(value).length;
  if (schema.maxProperties !== undefined && count > schema.maxProperties)
    causes.push(tooMany(path, count, schema.maxProperties));
  if (schema.minProperties !== undefined && count < schema.minProperties)
    causes.push(
      invalidValue(path, count, `${path} in body should have at least ${schema.minProperties} properties`),
    );
  for (const [field, element] of Object.entries(value)) {
    const known = fieldSchema(schema, field);
    if (known !== undefined) check(known, element, below(field), causes);
  }
}

function checkCombinations(schema: Schema, value: unknown, path: string, causes: Cause[]): void {
  const isValid = (part: Schema): boolean => validate(part, value, path).length === 0;
  for (const part of schema.allOf ?? []) check(part, value, path, causes);
  if (schema.anyOf !== undefined && !schema.anyOf.some(isValid))
    causes.push(invalidValue(path, value, `${path} in body must validate at least one schema (anyOf)`));
  if (schema.oneOf !== undefined && schema.oneOf.filter(isValid).length !== 1)
    causes.push(invalidValue(path, value, `${path} in body must validate one and only one schema (oneOf)`));
  if (schema.not !== undefined && isValid(schema.not))
    causes.push(invalidValue(path, value, `${path} in body must not validate the schema (not)`));
}
