/** Reading what a user wrote, of which nothing is known yet. */

export type Fields = Readonly<Record<string, unknown>>;

/** The members of an object; none of anything else. */
export function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : {};
}

export function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

/** The members that are texts. */
export function textsOf(value: unknown): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(fieldsOf(value)).filter(
      (entry): entry is [string, string] => typeof entry[1] === "string",
    ),
  );
}

/** The object, or those of a List. */
export function objectsOf(object: Fields): Fields[] {
  return object.kind === "List" && Array.isArray(object.items)
    ? object.items.flatMap((item: unknown) => objectsOf(fieldsOf(item)))
    : [object];
}
