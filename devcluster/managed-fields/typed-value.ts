import { isObject, type JsonObject } from "../json.ts";
import type { Schema } from "../schema/schema.ts";

/**
 * How a value is owned: a leaf by one, a map by its fields, a list by its elements. A list without a list type
 * and a map marked atomic are leaves.
 */
export function isGranularMap(schema: Schema | undefined, value: unknown): value is JsonObject {
  return isObject(value) && schema?.mapType !== "atomic";
}

export function isGranularList(schema: Schema | undefined, value: unknown): value is unknown[] {
  return Array.isArray(value) && (schema?.listType === "map" || schema?.listType === "set");
}

/** Elements of a granular list by their key in fieldsV1, in order. Of two with one key the last counts. */
export function elementsOf(schema: Schema | undefined, list: readonly unknown[]): Map<string, unknown> {
  return new Map(list.map((element) => [elementKey(schema, element), element]));
}

export function elementKey(schema: Schema | undefined, element: unknown): string {
  if (schema?.listType !== "map") return `v:${JSON.stringify(element)}`;
  const from = isObject(element) ? element : {};
  const keys: JsonObject = {};
  for (const key of [...(schema.listMapKeys ?? [])].sort()) {
    const value = from[key] ?? schema.items?.properties?.get(key)?.default;
    if (value !== undefined) keys[key] = value;
  }
  return `k:${JSON.stringify(keys)}`;
}
