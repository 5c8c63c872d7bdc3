import { isEqual } from "../json.ts";
import { fieldSchema, type Schema } from "../schema/schema.ts";
import { childOf, emptySet, type FieldSet, isEmptySet } from "./field-set.ts";
import { elementsOf, isGranularList, isGranularMap } from "./typed-value.ts";

export interface Comparison {
  readonly added: FieldSet;
  readonly modified: FieldSet;
  readonly removed: FieldSet;
}

/** Which fields were added, changed and removed on the way from one value to the other. */
export function compare(schema: Schema | undefined, before: unknown, after: unknown): Comparison {
  const comparison = { added: emptySet(), modified: emptySet(), removed: emptySet() };
  walk(schema, before, after, comparison);
  return comparison;
}

export function isSame({ added, modified, removed }: Comparison): boolean {
  return isEmptySet(added) && isEmptySet(modified) && isEmptySet(removed);
}

function walk(schema: Schema | undefined, before: unknown, after: unknown, to: Comparison): void {
  const parts = partsOf(schema, before, after);
  if (parts === undefined) {
    if (before === undefined) to.added.owned = true;
    else if (after === undefined) to.removed.owned = true;
    else if (!isEqual(before, after)) to.modified.owned = true;
    return;
  }
  if (before === undefined) to.added.owned = true;
  else if (after === undefined) to.removed.owned = true;
  for (const [key, [below, left, right]] of parts) {
    if (left !== undefined && right !== undefined && left === right) continue;
    const next = { added: emptySet(), modified: emptySet(), removed: emptySet() };
    walk(below, left, right, next);
    if (!isEmptySet(next.added)) to.added.children.set(key, next.added);
    if (!isEmptySet(next.modified)) to.modified.children.set(key, next.modified);
    if (!isEmptySet(next.removed)) to.removed.children.set(key, next.removed);
  }
}

type Part = [schema: Schema | undefined, before: unknown, after: unknown];

/** The children of both sides together; undefined when the value is compared as a whole. */
function partsOf(schema: Schema | undefined, before: unknown, after: unknown): Map<string, Part> | undefined {
  const parts = new Map<string, Part>();
  const put = (key: string, below: Schema | undefined, side: 1 | 2, value: unknown): void => {
    const part: Part = parts.get(key) ?? [below, undefined, undefined];
    part[side] = value;
    parts.set(key, part);
  };
  if (bothSides(before, after, (value) => isGranularMap(schema, value))) {
    for (const [side, value] of [[1, before] as const, [2, after] as const]) {
      if (!isGranularMap(schema, value)) continue;
      for (const [field, element] of Object.entries(value))
        put(`f:${field}`, fieldSchema(schema, field), side, element);
    }
  } else if (bothSides(before, after, (value) => isGranularList(schema, value))) {
    for (const [side, value] of [[1, before] as const, [2, after] as const]) {
      if (!isGranularList(schema, value)) continue;
      for (const [key, element] of elementsOf(schema, value)) put(key, schema?.items, side, element);
    }
  }
  // Two empty ones are a leaf, so that an empty map differs from none.
  return parts.size === 0 ? undefined : parts;
}

function bothSides(before: unknown, after: unknown, holds: (value: unknown) => boolean): boolean {
  const fits = (value: unknown): boolean => value === undefined || holds(value);
  return fits(before) && fits(after) && !(before === undefined && after === undefined);
}

/** The fields that a value sets: leaves, elements of lists, and maps that are empty. */
export function fieldSetOf(schema: Schema | undefined, value: unknown): FieldSet {
  const set = emptySet();
  if (isGranularMap(schema, value)) {
    const entries = Object.entries(value);
    if (entries.length === 0) set.owned = true;
    for (const [field, element] of entries) {
      const below = fieldSchema(schema, field);
      const child = fieldSetOf(below, element);
      if (schema?.properties?.has(field) !== true) child.owned = true;
      if (!isEmptySet(child)) set.children.set(`f:${field}`, child);
    }
  } else if (isGranularList(schema, value)) {
    for (const [key, element] of elementsOf(schema, value)) {
      const child = fieldSetOf(schema?.items, element);
      child.owned = true;
      childOf(set, key);
      set.children.set(key, child);
    }
  } else {
    set.owned = true;
  }
  return set;
}
