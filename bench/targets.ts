import type { CaseName } from "./cases.ts";
import type { Metric } from "./metrics.ts";
import type { ResultRow } from "./results.ts";

/** A figure to reach: a ratio to a peer, or a value of the product itself. */
export interface Target {
  readonly figure: string;
  readonly case: CaseName;
  readonly metric: Metric;
  /** "value": the product's own figure counts, whatever the peers'. */
  readonly against: ResultRow["peer"] | "value";
  readonly bound: "<=" | ">=" | "<";
  readonly limit: number;
  /** Missing it fails the benchmark. */
  readonly hard: boolean;
}

type Row = readonly [
  figure: string,
  name: CaseName,
  metric: Metric,
  against: Target["against"],
  bound: Target["bound"],
  limit: number,
  hard?: "hard",
];

const rows: readonly Row[] = [
  ["CPU per small GET, HTTP/1.1", "get-1k", "cpu", "go", "<=", 0.58, "hard"],
  ["CPU per small GET, HTTP/2", "get-1k-h2", "cpu", "go", "<=", 0.6, "hard"],
  ["CPU per small GET, HTTP/1.1", "get-1k", "cpu", "haproxy", "<=", 1.15],
  ["CPU per small GET, HTTP/2", "get-1k-h2", "cpu", "haproxy", "<=", 1.15],
  ["CPU per MB of 2 MB lists, HTTP/1.1", "list-2m", "cpu", "go", "<=", 0.65, "hard"],
  ["CPU per MB of 20 MB lists, HTTP/1.1", "list-20m", "cpu", "go", "<=", 0.65, "hard"],
  ["CPU per MB of 2 MB lists, HTTP/2", "list-2m-h2", "cpu", "go", "<=", 0.82, "hard"],
  ["CPU per MB of 20 MB lists, HTTP/2", "list-20m-h2", "cpu", "go", "<=", 0.82, "hard"],
  ["requests per second, 8 clients, HTTP/1.1", "get-1k", "rate", "go", ">=", 1.4],
  ["requests per second, 8 clients, HTTP/2", "get-1k-h2", "rate", "go", ">=", 1.4],
  ["list throughput, HTTP/1.1", "list-2m", "rate", "go", ">=", 1.8],
  ["added latency at one client, p50, HTTP/1.1", "get-1k-c1", "added", "go", "<=", 0.5],
  ["added latency at one client, p50, HTTP/2", "get-1k-c1-h2", "added", "go", "<=", 0.5],
  ["growth of memory under 20 MB lists, HTTP/1.1", "list-20m", "growth", "value", "<", 8, "hard"],
  ["growth of memory under 20 MB lists, HTTP/2", "list-20m-h2", "growth", "value", "<", 8, "hard"],
  ["event delay, 1 watch, p50", "watch-1", "p50", "go", "<=", 1],
  ["event delay, 50 watches, p50", "watch-50", "p50", "go", "<=", 1],
  ["event delay, 500 watches, p50", "watch-500", "p50", "go", "<=", 1],
  ["event delay, 1 watch, p99", "watch-1", "p99", "value", "<", 5],
  ["event delay, 50 watches, p99", "watch-50", "p99", "value", "<", 5],
  ["event delay, 500 watches, p99", "watch-500", "p99", "value", "<", 5],
  ["CPU per event at 5,000 events/s, HTTP/1.1", "watch-5000", "cpu", "go", "<=", 0.9],
  ["CPU per event at 5,000 events/s, HTTP/2", "watch-5000-h2", "cpu", "go", "<=", 0.6],
  ["RSS with 500 watches, HTTP/2", "watch-500-h2", "rss", "go", "<=", 1, "hard"],
  ["RSS with 500 watches, HTTP/1.1", "watch-500", "rss", "go", "<=", 1.25, "hard"],
  ["RSS with 500 watches, HTTP/1.1", "watch-500", "rss", "value", "<", 115, "hard"],
  ["RSS idle, control stream connected", "idle", "rss", "value", "<=", 70, "hard"],
  ["start to listening, CPU", "start", "cpu", "value", "<=", 100],
  ["start to ready, stored snapshot", "start", "time", "value", "<=", 300],
  ["start to ready, first snapshot from the manager", "start-first", "time", "value", "<=", 300],
  ["memory after 1,000,000 requests and 100,000 watches", "memory", "rss", "after-10000", "<=", 1.05],
  ["the same, HTTP/2", "memory-h2", "rss", "after-10000", "<=", 1.05],
];

/** Part A of the figures to reach. */
export const targets: readonly Target[] = rows.map(
  ([figure, name, metric, against, bound, limit, hard]): Target => ({
    figure,
    case: name,
    metric,
    against,
    bound,
    limit,
    hard: hard === "hard",
  }),
);

/** How far a target that is not hard may be missed, if the page of results says why. */
const tolerance = 0.15;

export type Verdict = "met" | "within 15 %" | "missed" | "not measured";

export interface Judgement {
  readonly target: Target;
  readonly verdict: Verdict;
  /** What was held to the limit; undefined when it was not measured. */
  readonly value: number | undefined;
  readonly row: ResultRow | undefined;
}

/** Holds the results to the targets, in their order. */
export function judge(results: readonly ResultRow[]): Judgement[] {
  return targets.map((target) => {
    const row = results.find(
      (each) =>
        each.case === target.case &&
        each.metric === target.metric &&
        (target.against === "value" || each.peer === target.against),
    );
    const value = target.against === "value" ? row?.product : row?.ratio.median;
    return { target, row, value, verdict: value === undefined ? "not measured" : verdictOf(target, value) };
  });
}

function verdictOf({ bound, limit, hard }: Target, value: number): Verdict {
  const reaches = (bar: number): boolean => {
    if (bound === ">=") return value >= bar;
    return bound === "<" ? value < bar : value <= bar;
  };
  if (reaches(limit)) return "met";
  const widened = bound === ">=" ? limit * (1 - tolerance) : limit * (1 + tolerance);
  return !hard && reaches(widened) ? "within 15 %" : "missed";
}

/** Whether a hard row is missed. Rows that were not measured do not count: whoever chose the cases knows. */
export function isFailed(judgements: readonly Judgement[]): boolean {
  return judgements.some(({ target, verdict }) => target.hard && verdict === "missed");
}
