import { isObject, type JsonObject, setField } from "../json.ts";

/**
 * A set of fields of an object, as the tree that fieldsV1 is: keys are `f:<field>`, `k:<keys of an element>` and
 * `v:<value of a set>`. A node without children is always in the set; one with children only when `owned`.
 */
export interface FieldSet {
  owned: boolean;
  readonly children: Map<string, FieldSet>;
}

export function emptySet(): FieldSet {
  return { owned: false, children: new Map() };
}

export function isEmptySet({ owned, children }: FieldSet): boolean {
  return !owned && children.size === 0;
}

/** The child with a key, made when it is missing. */
export function childOf(set: FieldSet, key: string): FieldSet {
  const existing = set.children.get(key);
  if (existing !== undefined) return existing;
  const child = emptySet();
  set.children.set(key, child);
  return child;
}

export function union(left: FieldSet, right: FieldSet): FieldSet {
  const children = new Map(left.children);
  for (const [key, child] of right.children) {
    const other = children.get(key);
    children.set(key, other === undefined ? child : union(other, child));
  }
  return { owned: left.owned || right.owned, children };
}

export function difference(left: FieldSet, right: FieldSet): FieldSet {
  const children = new Map<string, FieldSet>();
  for (const [key, child] of left.children) {
    const other = right.children.get(key);
    const rest = other === undefined ? child : difference(child, other);
    if (!isEmptySet(rest)) children.set(key, rest);
  }
  return { owned: left.owned && !right.owned, children };
}

export function intersection(left: FieldSet, right: FieldSet): FieldSet {
  const children = new Map<string, FieldSet>();
  for (const [key, child] of left.children) {
    const other = right.children.get(key);
    if (other === undefined) continue;
    const both = intersection(child, other);
    if (!isEmptySet(both)) children.set(key, both);
  }
  return { owned: left.owned && right.owned, children };
}

/** Without the whole subtrees that are owned in `right`: what was removed takes everything below it along. */
export function withoutSubtrees(left: FieldSet, right: FieldSet): FieldSet {
  const children = new Map<string, FieldSet>();
  for (const [key, child] of left.children) {
    const other = right.children.get(key);
    if (other?.owned) continue;
    const rest = other === undefined ? child : withoutSubtrees(child, other);
    if (!isEmptySet(rest)) children.set(key, rest);
  }
  return { owned: left.owned, children };
}

export function parseFieldSet(value: unknown): FieldSet {
  const entries = Object.entries(isObject(value) ? value : {});
  const children = new Map<string, FieldSet>();
  for (const [key, child] of entries) if (key !== ".") children.set(key, parseFieldSet(child));
  return { owned: entries.length === 0 || entries.some(([key]) => key === "."), children };
}

export function printFieldSet({ owned, children }: FieldSet): JsonObject {
  const result: JsonObject = {};
  if (owned && children.size > 0) result["."] = {};
  for (const key of [...children.keys()].sort()) {
    const child = children.get(key);
    if (child !== undefined) setField(result, key, printFieldSet(child));
  }
  return result;
}

/** Every path of the set, worded as conflict messages name them: `.spec.containers[name="a"].image`. */
export function pathsOf(set: FieldSet, prefix = ""): string[] {
  const paths = set.owned && prefix !== "" ? [prefix] : [];
  for (const [key, child] of set.children) paths.push(...pathsOf(child, prefix + printKey(key)));
  return paths;
}

function printKey(key: string): string {
  const rest = key.slice(2);
  if (key.startsWith("f:")) return `.${rest}`;
  if (key.startsWith("v:")) return `[=${rest}]`;
  const keys: unknown = JSON.parse(rest);
  const parts = Object.entries(isObject(keys) ? keys : {});
  return `[${parts.map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(",")}]`;
}
