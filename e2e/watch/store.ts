/** What a client holds: path to resourceVersion. */
export type Store = ReadonlyMap<string, number>;

/** Paths on which a store and the truth do not agree. */
export function differencesOf(store: Store, truth: ReadonlyMap<string, number>): string[] {
  const missing = [...truth].filter(([path, revision]) => store.get(path) !== revision).map(([path]) => path);
  const tooMany = [...store.keys()].filter((path) => !truth.has(path));
  return [...missing, ...tooMany];
}
