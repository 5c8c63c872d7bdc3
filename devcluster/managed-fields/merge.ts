import { copyOf, isObject, type JsonObject, setField } from "../json.ts";
import { fieldSchema, type Schema } from "../schema/schema.ts";
import type { FieldSet } from "./field-set.ts";
import { elementKey, elementsOf, isGranularList, isGranularMap } from "./typed-value.ts";

/** The live value with everything that the applied one says: maps by field, keyed lists by element. */
export function mergeApplied(schema: Schema | undefined, live: unknown, applied: unknown): unknown {
  if (applied === undefined) return live;
  if (live === undefined || live === null) return copyOf(applied);
  if (isGranularMap(schema, live) && isGranularMap(schema, applied)) {
    const result: JsonObject = { ...live };
    for (const [field, element] of Object.entries(applied)) {
      const before = Object.hasOwn(live, field) ? live[field] : undefined;
      setField(result, field, mergeApplied(fieldSchema(schema, field), before, element));
    }
    return result;
  }
  if (isGranularList(schema, live) && isGranularList(schema, applied))
    return mergeLists(schema, live, applied);
  return copyOf(applied);
}

/** Elements that are only live keep their place relative to each other; applied ones come in applied order. */
function mergeLists(schema: Schema | undefined, live: unknown[], applied: unknown[]): unknown[] {
  const wanted = elementsOf(schema, applied);
  const before = elementsOf(schema, live);
  const result: unknown[] = [];
  const pending = [...wanted.keys()];
  const place = (key: string): void => {
    const old = before.get(key);
    result.push(mergeApplied(schema?.items, old, wanted.get(key)));
  };
  for (const [key, element] of before) {
    if (!wanted.has(key)) {
      result.push(element);
      continue;
    }
    const upTo = pending.indexOf(key);
    if (upTo >= 0) for (const next of pending.splice(0, upTo + 1)) place(next);
  }
  for (const key of pending) place(key);
  return result;
}

/** A copy without the fields and elements whose path is owned in the set. Parents stay, even when empty. */
export function removeFields(schema: Schema | undefined, value: unknown, set: FieldSet): unknown {
  if (isGranularMap(schema, value)) {
    const result: JsonObject = {};
    for (const [field, element] of Object.entries(value)) {
      const part = set.children.get(`f:${field}`);
      if (part === undefined) setField(result, field, element);
      else if (!isRemovedWhole(part, element, fieldSchema(schema, field)))
        setField(result, field, removeFields(fieldSchema(schema, field), element, part));
    }
    return result;
  }
  if (isGranularList(schema, value)) {
    const result: unknown[] = [];
    for (const element of value) {
      const part = set.children.get(elementKey(schema, element));
      if (part === undefined) result.push(element);
      else if (!part.owned) result.push(removeFields(schema?.items, element, part));
    }
    return result;
  }
  return value;
}

/** A leaf that is in the set goes; a map goes when all that is in it goes. */
function isRemovedWhole(part: FieldSet, value: unknown, schema: Schema | undefined): boolean {
  if (!isGranularMap(schema, value) && !isGranularList(schema, value)) return true;
  const rest = removeFields(schema, value, part);
  const size = Array.isArray(rest) ? rest.length : Object.keys(isObject(rest) ? rest : {}).length;
  return size === 0 && part.children.size + Number(part.owned) > 0;
}
