/** JSON values of outside origin, and how to look into them without believing their shape. */

export type JsonObject = { [field: string]: unknown };

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The value when it is an object, else an empty one. */
export function objectOf(value: unknown): JsonObject {
  return isObject(value) ? value : {};
}

export function arrayOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

export function stringOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

export function numberOf(value: unknown): number {
  return typeof value === "number" ? value : 0;
}

export function stringsOf(value: unknown): string[] {
  return arrayOf(value).filter((element) => typeof element === "string");
}

/** Fields whose value is a text. */
export function stringMapOf(value: unknown): Record<string, string> {
  const result: Record<string, string> = {};
  for (const [key, element] of Object.entries(objectOf(value)))
    if (typeof element === "string") result[key] = element;
  return result;
}

/** The value at a path of fields; undefined when any step is missing. */
export function at(value: unknown, ...path: readonly string[]): unknown {
  let current = value;
  for (const field of path) {
    if (!isObject(current) || !Object.hasOwn(current, field)) return undefined;
    current = current[field];
  }
  return current;
}

/** Sets one field even when its name is "__proto__", which an assignment would take for the prototype. */
export function setField(target: JsonObject, field: string, value: unknown): void {
  if (field !== "__proto__") target[field] = value;
  else Object.defineProperty(target, field, { value, enumerable: true, configurable: true, writable: true });
}

/** A deep copy of a JSON value. */
export function copyOf<T>(value: T): T {
  return structuredClone(value);
}

/** Same JSON value; the order of fields does not count. */
export function isEqual(left: unknown, right: unknown): boolean {
  if (left === right) return true;
  if (Array.isArray(left) && Array.isArray(right)) {
    return left.length === right.length && left.every((element, index) => isEqual(element, right[index]));
  }
  if (!isObject(left) || !isObject(right)) return false;
  const fields = Object.keys(left);
  if (fields.length !== Object.keys(right).length) return false;
  return fields.every((field) => Object.hasOwn(right, field) && isEqual(left[field], right[field]));
}
