import { type CaseName, cases } from "./cases.ts";
import type { Metric } from "./metrics.ts";
import { type Bar, type BarChart, barChart } from "./plot.ts";
import type { ResultRow } from "./results.ts";

/** A plot of the page: one metric in some cases, all contenders side by side. */
interface PlotPlan {
  readonly file: string;
  readonly title: string;
  readonly metric: Metric;
  readonly unit: string;
  readonly cases: readonly CaseName[];
}

const plans: readonly PlotPlan[] = [
  {
    file: "cpu.svg",
    title: "CPU time of the proxy, less is better",
    metric: "cpu",
    unit: "us per request or event, ms per MB",
    cases: [
      "get-1k",
      "get-1k-h2",
      "list-2m",
      "list-2m-h2",
      "list-20m",
      "list-20m-h2",
      "watch-5000",
      "watch-5000-h2",
    ],
  },
  {
    file: "memory.svg",
    title: "resident memory, less is better",
    metric: "rss",
    unit: "MiB",
    cases: ["idle", "watch-50", "watch-500", "watch-500-h2"],
  },
  {
    file: "delay.svg",
    title: "median time of a request, delay of a watch event, less is better",
    metric: "p50",
    unit: "ms",
    cases: ["get-1k-c1", "get-1k-c1-h2", "watch-1", "watch-50", "watch-500", "watch-500-h2"],
  },
];

export interface Plot {
  readonly file: string;
  readonly title: string;
  readonly svg: string;
}

/** The plots of a run; cases that it did not measure are left out of them. */
export function plotsOf(rows: readonly ResultRow[]): Plot[] {
  return plans.flatMap((plan) => {
    const chart = chartOf(plan, rows);
    if (chart.groups.length === 0) return [];
    return [{ file: plan.file, title: plan.title, svg: barChart(chart) }];
  });
}

function chartOf({ title, unit, metric, cases: names }: PlotPlan, rows: readonly ResultRow[]): BarChart {
  const groups = names.flatMap((name) => {
    const bars = barsOf(rows.filter((row) => row.case === name && row.metric === metric));
    if (bars.length === 0) return [];
    const about = cases.find((each) => each.name === name)?.about;
    return [{ name: `${name}: ${about}${name.endsWith("-h2") ? ", HTTP/2" : ""}`, bars }];
  });
  return { title, unit, groups };
}

function barsOf(rows: readonly ResultRow[]): Bar[] {
  const [first] = rows;
  if (first === undefined) return [];
  return [
    { name: "product", value: first.product },
    ...rows.map(({ peer, peerValue }) => ({ name: peer, value: peerValue })),
  ];
}
