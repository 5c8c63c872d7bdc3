import { at, isObject } from "./json.ts";

const step =
  /^(?:\.([A-Za-z0-9_$-]+(?:\\\.[A-Za-z0-9_/-]+)*)|\['((?:[^'\\]|\\.)*)'\]|\[(\d+|\*)\]|\[\?\(@\.([\w.]+)\s*==\s*["']([^"']*)["']\)\])/;

/**
 * The values at a simple JSON path, as printer columns use them: `.a.b`, `.a\.b`, `['a']`, `[0]`, `[*]` and
 * `[?(@.type=="Ready")]`.
 *
 * @returns nothing for a path that has no value or is written in another way
 */
export function readJsonPath(value: unknown, path: string): unknown[] {
  let rest = path.startsWith("{") && path.endsWith("}") ? path.slice(1, -1) : path;
  let current: unknown[] = [value];
  while (rest !== "") {
    const match = step.exec(rest);
    if (match === null) return [];
    rest = rest.slice(match[0].length);
    const [, field, quoted, index, filterField, filterValue] = match;
    const name = (field ?? quoted)?.replaceAll(/\\(.)/g, "$1");
    current = current.flatMap((each): unknown[] => {
      if (name !== undefined) return isObject(each) && Object.hasOwn(each, name) ? [each[name]] : [];
      if (!Array.isArray(each)) return [];
      if (filterField !== undefined)
        return each.filter((element) => at(element, ...filterField.split(".")) === filterValue);
      if (index === "*") return each;
      return each.slice(Number(index), Number(index) + 1);
    });
  }
  return current;
}
