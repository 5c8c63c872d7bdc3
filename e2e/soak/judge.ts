import type { Sample } from "./record.ts";
import { type Trend, trendOf } from "./trend.ts";

/** What was found of one series over the last three quarters of a soak. */
export interface Finding {
  readonly series: string;
  readonly unit: "MiB" | "";
  /** In the unit. */
  readonly trend: Trend;
  /** By how much it may have grown over the time looked at, in the unit; undefined: shown, not judged. */
  readonly allowedGrowth: number | undefined;
  readonly holds: boolean;
}

/** Heap may grow by less than this share of itself per hour. */
const heapSharePerHour = 0.02;
/** From this much time on, the estimate itself is held to the limit. */
const longHours = 1;
/**
 * Over some minutes 2 % per hour is some ten kilobytes, which the last code to be compiled costs once. Less than a
 * fixed allowance is not told from that; at 200 requests per second it is 6 bytes a request over 7.5 minutes.
 */
const shortHeapAllowanceMiB = 0.5;
/** Clients come and go, and so does the number of sockets. */
const shortSocketAllowance = 4;
const longSocketAllowance = 1;
/** Before this share of the time, caches fill and code is compiled. */
const discardedShare = 0.25;
/** Fewer points say nothing. */
const leastPoints = 5;
const bytesPerMiB = 1024 * 1024;

interface Series {
  readonly name: string;
  readonly unit: "MiB" | "";
  readonly rule: "heap" | "count" | "shown";
  figureOf(sample: Sample): number;
}

const series: readonly Series[] = [
  { name: "live heap", unit: "MiB", rule: "heap", figureOf: ({ heapBytes }) => heapBytes / bytesPerMiB },
  { name: "sockets", unit: "", rule: "count", figureOf: ({ sockets }) => sockets },
  { name: "timer objects", unit: "", rule: "count", figureOf: ({ timerObjects }) => timerObjects },
  {
    name: "external",
    unit: "MiB",
    rule: "shown",
    figureOf: ({ externalBytes }) => externalBytes / bytesPerMiB,
  },
  { name: "RSS", unit: "MiB", rule: "shown", figureOf: ({ rssBytes }) => rssBytes / bytesPerMiB },
];

/** Holds the last three quarters of the samples to the limits, under load and at rest each for itself. */
export function judge(samples: readonly Sample[]): Finding[] {
  const end = samples.at(-1)?.atSeconds ?? 0;
  const late = samples.filter(({ atSeconds }) => atSeconds >= end * discardedShare);
  return [false, true].flatMap((isAtRest) => {
    const chosen = late.filter((sample) => sample.isAtRest === isAtRest);
    return chosen.length < leastPoints ? [] : series.map((one) => findingOf(one, chosen, isAtRest));
  });
}

function findingOf(
  { name, unit, rule, figureOf }: Series,
  samples: readonly Sample[],
  isAtRest: boolean,
): Finding {
  const trend = trendOf(
    samples.map((sample) => ({ hours: sample.atSeconds / 3600, value: figureOf(sample) })),
  );
  const { spanHours, median, perHour, lowerPerHour } = trend;
  const isLong = spanHours >= longHours;
  const share = median * heapSharePerHour * spanHours;
  const certainGrowth = lowerPerHour * spanHours;
  const about = { series: isAtRest ? `${name} at rest` : name, unit, trend };
  switch (rule) {
    case "heap": {
      const allowedGrowth = isLong ? share : share + shortHeapAllowanceMiB;
      return {
        ...about,
        allowedGrowth,
        holds: (isLong ? perHour * spanHours : certainGrowth) < allowedGrowth,
      };
    }
    case "count": {
      const allowedGrowth = isLong ? longSocketAllowance : shortSocketAllowance;
      return { ...about, allowedGrowth, holds: certainGrowth < allowedGrowth };
    }
    case "shown":
      return { ...about, allowedGrowth: undefined, holds: true };
  }
}

/** One line for people. */
export function sentenceOf({ series: name, unit, trend, allowedGrowth, holds }: Finding): string {
  const { median, perHour, lowerPerHour, upperPerHour, spanHours } = trend;
  const number = (value: number) => value.toFixed(2);
  const percent = median === 0 ? "" : ` = ${number((perHour / median) * 100)} %`;
  const limit =
    allowedGrowth === undefined
      ? ""
      : `, over ${number(spanHours)} h ${number(perHour * spanHours)} of ${number(allowedGrowth)} allowed`;
  return `${holds ? "ok  " : "FAIL"} ${name}: median ${number(median)}${unit === "" ? "" : ` ${unit}`}, per hour ${number(perHour)}${percent} [${number(lowerPerHour)} .. ${number(upperPerHour)}]${limit}`;
}
