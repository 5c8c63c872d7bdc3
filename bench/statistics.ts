/** Smallest, middle and largest of some values. */
export interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

/** Of an even number of values the median is the mean of the middle two. NaN for none. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((left, right) => left - right);
  const at = (index: number): number => sorted[index] ?? Number.NaN;
  const middle = (sorted.length - 1) / 2;
  return {
    min: at(0),
    median: (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2,
    max: at(sorted.length - 1),
  };
}

/**
 * Ratios of what was measured side by side: one for each repetition that has both values. Machines drift over the
 * minutes of a run, so values of different repetitions are not divided by each other.
 */
export function pairedRatios(
  products: readonly (number | undefined)[],
  peers: readonly (number | undefined)[],
): number[] {
  return products.flatMap((product, repetition) => {
    const peer = peers[repetition];
    return product === undefined || peer === undefined ? [] : [product / peer];
  });
}
