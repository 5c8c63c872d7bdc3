import { invalidField, type Schema, wrongType } from "./schema.ts";

export interface ListBounds {
  readonly maxItems: number;
  readonly minItems?: number;
  /** Fields that name an element: two elements with equal keys are refused, server-side apply merges by them. */
  readonly keys?: readonly [string, ...string[]];
}

/** A list. Without `keys` server-side apply replaces it as a whole. */
export function list<T>(description: string, element: Schema<T>, bounds: ListBounds): Schema<readonly T[]> {
  const { maxItems, minItems = 0, keys } = bounds;
  return {
    structural: {
      type: "array",
      description,
      ...(minItems > 0 ? { minItems } : {}),
      maxItems,
      "x-kubernetes-list-type": keys === undefined ? "atomic" : "map",
      ...(keys === undefined ? {} : { "x-kubernetes-list-map-keys": keys }),
      items: element.structural,
    },
    read(value, where) {
      if (!Array.isArray(value)) throw wrongType(where, "a list", value, description);
      if (value.length < minItems)
        throw invalidField(where, minItems === 1 ? "must not be empty" : "has too few entries", description);
      if (value.length > maxItems)
        throw invalidField(where, `has more than ${maxItems} entries`, description);
      const elements = value.map((one: unknown, index) => element.read(one, `${where}[${index}]`));
      if (keys !== undefined) refuseTwins(elements, keys, where);
      return elements;
    },
  };
}

function refuseTwins(elements: readonly unknown[], keys: readonly string[], where: string): void {
  const seen = new Set<string>();
  for (const [index, element] of elements.entries()) {
    const name = JSON.stringify(keys.map((key) => Reflect.get(Object(element), key)));
    if (seen.has(name))
      throw invalidField(
        `${where}[${index}]`,
        `has the ${keys.join(" and ")} of an entry before it`,
        `each ${keys.join(" and ")} may stand once`,
      );
    seen.add(name);
  }
}

/** A map from text to text. */
export function textMap(
  description: string,
  { maxProperties, value }: { readonly maxProperties: number; readonly value: Schema<string> },
): Schema<Readonly<Record<string, string>>> {
  return {
    structural: {
      type: "object",
      description,
      maxProperties,
      additionalProperties: value.structural,
    },
    read(map, where) {
      if (typeof map !== "object" || map === null || Array.isArray(map))
        throw wrongType(where, "an object", map, description);
      const entries: [string, unknown][] = Object.entries(map);
      if (entries.length > maxProperties)
        throw invalidField(where, `has more than ${maxProperties} entries`, description);
      return Object.fromEntries(entries.map(([key, one]) => [key, value.read(one, `${where}[${key}]`)]));
    },
  };
}
