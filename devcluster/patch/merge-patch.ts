import { isObject, type JsonObject, setField } from "../json.ts";

/** RFC 7386. The target is not changed, but shares what stays the same with the result. */
export function applyMergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const result: JsonObject = isObject(target) ? { ...target } : {};
  for (const [field, value] of Object.entries(patch)) {
    if (value === null) delete result[field];
    else
      setField(
        result,
        field,
        applyMergePatch(Object.hasOwn(result, field) ? result[field] : undefined, value),
      );
  }
  return result;
}
