import { isDeepStrictEqual } from "node:util";

export type PatchOperation =
  | { readonly op: "add" | "replace"; readonly path: string; readonly value: unknown }
  | { readonly op: "remove"; readonly path: string };

/**
 * The JSON patch (RFC 6902) from one JSON value to another. Lists of equal length are compared by place,
 * others are replaced whole. `undefined` members count as absent.
 */
export function jsonPatch(before: unknown, after: unknown, path = ""): PatchOperation[] {
  if (isDeepStrictEqual(before, after)) return [];
  if (isRecord(before) && isRecord(after)) return recordPatch(before, after, path);
  if (Array.isArray(before) && Array.isArray(after) && before.length === after.length) {
    return before.flatMap((entry, index) => jsonPatch(entry, after[index], `${path}/${index}`));
  }
  return [{ op: "replace", path, value: after }];
}

function recordPatch(
  before: Readonly<Record<string, unknown>>,
  after: Readonly<Record<string, unknown>>,
  path: string,
): PatchOperation[] {
  const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...keys].flatMap((key): PatchOperation[] => {
    const place = `${path}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`;
    const had = Object.hasOwn(before, key) && before[key] !== undefined;
    const has = Object.hasOwn(after, key) && after[key] !== undefined;
    if (had && has) return jsonPatch(before[key], after[key], place);
    if (has) return [{ op: "add", path: place, value: after[key] }];
    return had ? [{ op: "remove", path: place }] : [];
  });
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
