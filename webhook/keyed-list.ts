/**
 * Sets entries of a list whose entries have a key, such as environment variables by name: an entry with the
 * same key is replaced where it stands (later ones of that key go, since the last of them would win), a new
 * one goes to the end.
 */
export function withEntries<T>(
  list: readonly T[] | undefined,
  entries: readonly T[],
  keyOf: (entry: T) => string,
): T[] {
  const replacements = new Map(entries.map((entry) => [keyOf(entry), entry]));
  const pending = new Map(replacements);
  const merged = (list ?? []).flatMap((present) => {
    const key = keyOf(present);
    if (!replacements.has(key)) return [present];
    const replacement = pending.get(key);
    pending.delete(key);
    return replacement === undefined ? [] : [replacement];
  });
  return [...merged, ...pending.values()];
}

/** `entries` first and in their order, then those of the list that have another key. */
export function entriesFirst<T>(
  entries: readonly T[],
  list: readonly T[] | undefined,
  keyOf: (entry: T) => string,
): T[] {
  const keys = new Set(entries.map(keyOf));
  return [...entries, ...(list ?? []).filter((entry) => !keys.has(keyOf(entry)))];
}

export const byName = ({ name }: { readonly name: string }): string => name;
export const byMountPath = ({ mountPath }: { readonly mountPath: string }): string => mountPath;
