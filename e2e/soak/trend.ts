export interface Point {
  readonly hours: number;
  readonly value: number;
}

/** Slope of a series in units per hour, with bounds of one-sided confidence 99 % each. */
export interface Trend {
  readonly perHour: number;
  readonly lowerPerHour: number;
  readonly upperPerHour: number;
  readonly median: number;
  /** From the first to the last point. */
  readonly spanHours: number;
}

/** Neighbours in time resemble each other, and bounds from them alone would be too narrow: bins are nearly independent. */
const binCount = 24;
const confidence99 = 2.326;

/**
 * Theil and Sen's estimate: the median of the slopes between all pairs of bins (each the median of its points), so
 * that a third of the points may be outliers. Bounds from the variance of Kendall's S (Sen 1968, no ties).
 */
export function trendOf(points: readonly Point[]): Trend {
  const bins = binned(points);
  const slopes: number[] = [];
  for (const [index, left] of bins.entries()) {
    for (const right of bins.slice(index + 1)) {
      if (right.hours > left.hours) slopes.push((right.value - left.value) / (right.hours - left.hours));
    }
  }
  slopes.sort((left, right) => left - right);
  const count = bins.length;
  const deviation = confidence99 * Math.sqrt((count * (count - 1) * (2 * count + 5)) / 18);
  const lowerRank = Math.max(0, Math.floor((slopes.length - deviation) / 2));
  const upperRank = Math.min(slopes.length - 1, Math.ceil((slopes.length + deviation) / 2));
  return {
    perHour: medianOf(slopes),
    lowerPerHour: slopes[lowerRank] ?? 0,
    upperPerHour: slopes[upperRank] ?? 0,
    median: medianOf(points.map(({ value }) => value)),
    spanHours: (points.at(-1)?.hours ?? 0) - (points[0]?.hours ?? 0),
  };
}

function binned(points: readonly Point[]): Point[] {
  if (points.length <= binCount) return [...points];
  return Array.from({ length: binCount }, (_, index) => {
    const from = Math.floor((index * points.length) / binCount);
    const members = points.slice(from, Math.floor(((index + 1) * points.length) / binCount));
    return {
      hours: medianOf(members.map(({ hours }) => hours)),
      value: medianOf(members.map(({ value }) => value)),
    };
  });
}

/** 0 for none. */
export function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2;
}
