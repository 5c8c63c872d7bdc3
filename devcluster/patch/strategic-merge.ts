import { arrayOf, isEqual, isObject, type JsonObject, setField, stringsOf } from "../json.ts";
import { fieldSchema, type Schema } from "../schema/schema.ts";
import { PatchError } from "./json-patch.ts";

const deletePrefix = "$deleteFromPrimitiveList/";
const orderPrefix = "$setElementOrder/";

/**
 * Kubernetes' strategic merge patch (api-conventions, "Strategic Merge Patch"): like a merge patch, but lists with
 * a merge key are merged element by element. Knows the directives `$patch` (delete, replace, merge),
 * `$deleteFromPrimitiveList`, `$setElementOrder` and `$retainKeys`.
 *
 * @throws PatchError
 */
export function applyStrategicPatch(schema: Schema | undefined, target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  if (patch.$patch === "delete") return {};
  if (patch.$patch === "replace") {
    const { $patch: _directive, ...rest } = patch;
    return rest;
  }
  const result: JsonObject = isObject(target) ? { ...target } : {};
  const retained = Array.isArray(patch.$retainKeys) ? stringsOf(patch.$retainKeys) : undefined;
  if (retained !== undefined)
    for (const field of Object.keys(result)) if (!retained.includes(field)) delete result[field];
  for (const [field, value] of Object.entries(patch)) {
    if (field === "$patch" || field === "$retainKeys") continue;
    if (field.startsWith(deletePrefix)) removeValues(result, field.slice(deletePrefix.length), value);
    else if (!field.startsWith(orderPrefix)) mergeField(schema, result, field, value);
  }
  sortLists(schema, result, isObject(target) ? target : {}, patch);
  return result;
}

/** Merged lists take the order of `$setElementOrder`, else that of the patch. */
function sortLists(
  schema: Schema | undefined,
  result: JsonObject,
  target: JsonObject,
  patch: JsonObject,
): void {
  for (const [field, list] of Object.entries(result)) {
    const below = fieldSchema(schema, field);
    if (!Array.isArray(list) || below?.mergesLists !== true) continue;
    const order = patch[`${orderPrefix}${field}`] ?? patch[field];
    if (Array.isArray(order)) setField(result, field, inOrder(below, list, order, arrayOf(target[field])));
  }
}

function mergeField(schema: Schema | undefined, result: JsonObject, field: string, value: unknown): void {
  const below = fieldSchema(schema, field);
  const present = Object.hasOwn(result, field) ? result[field] : undefined;
  if (value === null) delete result[field];
  else if (Array.isArray(value)) setField(result, field, mergeList(below, present, value));
  else if (isObject(value)) {
    // "delete" on a field removes the field; inside a list it removes the element.
    if (value.$patch === "delete") delete result[field];
    else setField(result, field, applyStrategicPatch(below, present, value));
  } else setField(result, field, value);
}

function mergeList(schema: Schema | undefined, target: unknown, patch: readonly unknown[]): unknown[] {
  const elements = patch.filter((element) => !isObject(element) || element.$patch !== "replace");
  const replaces = elements.length < patch.length;
  if (replaces || schema?.mergesLists !== true) return elements.map(withoutDirective);
  const { mergeKey, items } = schema;
  if (mergeKey === undefined) {
    const present = arrayOf(target);
    return [...present, ...elements.filter((element) => !present.some((each) => isEqual(each, element)))];
  }
  const result = [...arrayOf(target)];
  for (const element of elements) {
    if (!isObject(element))
      throw new PatchError(`an element of a list with merge key ${mergeKey} is no object`);
    const key = element[mergeKey];
    if (key === undefined)
      throw new PatchError(
        `map: ${JSON.stringify(element)} does not contain declared merge key: ${mergeKey}`,
      );
    const index = result.findIndex((each) => isObject(each) && isEqual(each[mergeKey], key));
    if (element.$patch === "delete") {
      if (index >= 0) result.splice(index, 1);
    } else if (index < 0) result.push(applyStrategicPatch(items, {}, element));
    else result[index] = applyStrategicPatch(items, result[index], element);
  }
  return result;
}

function withoutDirective(element: unknown): unknown {
  if (!isObject(element)) return element;
  const { $patch: _directive, ...rest } = element;
  return rest;
}

function removeValues(result: JsonObject, field: string, values: unknown): void {
  const list = result[field];
  if (!Array.isArray(list)) return;
  const gone = arrayOf(values);
  setField(
    result,
    field,
    list.filter((element) => !gone.some((value) => isEqual(value, element))),
  );
}

/**
 * The elements named in the order come in that order; the others keep theirs, each before those that it stood before
 * on the server, and as late as possible where that does not decide (apimachinery's `mergeSortedSlice`).
 */
function inOrder(
  schema: Schema | undefined,
  list: readonly unknown[],
  order: readonly unknown[],
  server: readonly unknown[],
): unknown[] {
  const keyOf = (element: unknown): unknown =>
    schema?.mergeKey !== undefined && isObject(element) ? element[schema.mergeKey] : element;
  const ranks = new Map(order.map((element, index) => [JSON.stringify(keyOf(element)), index]));
  const places = new Map(server.map((element, index) => [JSON.stringify(keyOf(element)), index]));
  const rankOf = (element: unknown): number => ranks.get(JSON.stringify(keyOf(element))) ?? -1;
  const placeOf = (element: unknown): number => places.get(JSON.stringify(keyOf(element))) ?? -1;
  const named = list
    .filter((element) => rankOf(element) >= 0)
    .toSorted((left, right) => rankOf(left) - rankOf(right));
  const others = list
    .filter((element) => rankOf(element) < 0)
    .toSorted((left, right) => placeOf(left) - placeOf(right));
  const result: unknown[] = [];
  while (others.length > 0 && named.length > 0) {
    const [other, next] = [placeOf(others[0]), placeOf(named[0])];
    const otherFirst = other >= 0 && next >= 0 && other < next;
    result.push(otherFirst ? others.shift() : named.shift());
  }
  return [...result, ...others, ...named];
}
