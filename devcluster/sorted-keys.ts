/** Keys in the order of their bytes (all are ASCII), kept sorted by binary search. */

export function insertSorted(keys: string[], key: string): void {
  keys.splice(lowerBound(keys, key), 0, key);
}

export function removeSorted(keys: string[], key: string): void {
  const index = lowerBound(keys, key);
  if (keys[index] === key) keys.splice(index, 1);
}

/** First and one past the last index of the keys that start with a prefix. */
export function rangeOf(keys: readonly string[], prefix: string): [number, number] {
  if (prefix === "") return [0, keys.length];
  // Keys are ASCII, so every key with the prefix sorts before the prefix followed by the highest character.
  return [lowerBound(keys, prefix), lowerBound(keys, `${prefix}\uffff`)];
}

/** Index of the first key that is not before the given one. */
export function lowerBound(keys: readonly string[], key: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((keys[middle] ?? "") < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
