import { judge } from "./judge.ts";
import type { Line, Plot } from "./plot.ts";
import type { LoadReport, Sample, SoakRecord } from "./record.ts";

const bytesPerMiB = 1024 * 1024;
/** What stands between them in the page is made from a record. */
const figuresBegin = "<!-- figures: made by --render -->";
const figuresEnd = "<!-- end of figures -->";

/** Memory and sockets over the time of a soak. */
export function plotOf({ samples, marks, minutes, requests, seed }: PlotSource): Plot {
  const line = (label: string, color: string, figureOf: (sample: Sample) => number): Line => ({
    label,
    color,
    points: samples
      .filter(({ isAtRest }) => !isAtRest)
      .map((sample) => ({ x: sample.atSeconds / 60, y: figureOf(sample) })),
  });
  const atRest = (figureOf: (sample: Sample) => number): Line => ({
    label: "at rest",
    color: "#000000",
    isDotted: true,
    points: samples
      .filter(({ isAtRest }) => isAtRest)
      .map((sample) => ({ x: sample.atSeconds / 60, y: figureOf(sample) })),
  });
  const heap = ({ heapBytes }: Sample): number => heapBytes / bytesPerMiB;
  const sockets = (sample: Sample): number => sample.sockets;
  return {
    title: `Soak of ${minutes} minutes, ${requests} requests, seed ${seed}`,
    xLabel: "minutes (grey: the API server restarts; blue: the manager is away)",
    panels: [
      { title: "Live heap, MiB", lines: [line("under load", "#c0392b", heap), atRest(heap)] },
      {
        title: "Memory, MiB",
        lines: [
          line("RSS", "#2471a3", ({ rssBytes }) => rssBytes / bytesPerMiB),
          line("outside the heap", "#229954", ({ externalBytes }) => externalBytes / bytesPerMiB),
        ],
      },
      { title: "Sockets", lines: [line("under load", "#7d3c98", sockets), atRest(sockets)] },
    ],
    marks: marks.flatMap(({ atSeconds, what }) => {
      const x = atSeconds / 60;
      if (what.startsWith("restart")) return [{ x, color: "#b0b0b0" }];
      return what.startsWith("manager") ? [{ x, color: "#5dade2" }] : [];
    }),
  };
}

interface PlotSource extends Pick<SoakRecord, "samples" | "marks" | "minutes" | "seed"> {
  readonly requests: number;
}

/**
 * The page with a record's figures in place of those that it has.
 *
 * @throws Error when the page has no place for them
 */
export function withFigures(page: string, record: SoakRecord): string {
  const from = page.indexOf(figuresBegin);
  const until = page.indexOf(figuresEnd);
  if (from < 0 || until < from) throw new Error("the page has no place for figures");
  return `${page.slice(0, from)}${figuresBegin}\n\n${figuresOf(record)}\n${page.slice(until)}`;
}

/** In Markdown. */
function figuresOf(record: SoakRecord): string {
  const { load, samples, minutes, seed, commit, node, startedAt, snapshots, command } = record;
  const number = (value: number): string => value.toLocaleString("en-US", { maximumFractionDigits: 2 });
  const rows = judge(samples).map(({ series, unit, trend, allowedGrowth, holds }) => {
    const { median, perHour, lowerPerHour, upperPerHour } = trend;
    const percent = median === 0 ? "" : ` (${number((perHour / median) * 100)} %)`;
    const verdict = allowedGrowth === undefined ? "" : holds ? "holds" : "**fails**";
    const shown = unit === "" ? number(median) : `${number(median)} ${unit}`;
    return `| ${series} | ${shown} | ${number(perHour)}${percent} | ${number(lowerPerHour)} to ${number(upperPerHour)} | ${verdict} |`;
  });
  const countOf = (start: string): number => record.marks.filter(({ what }) => what.startsWith(start)).length;
  const restarts = countOf("restart");
  const stalls = countOf("API server answers nobody");
  return [
    `${number(minutes)} minutes from ${startedAt} at commit ${commit.slice(0, 12)}, Node ${node}, seed ${seed}: \`${command}\``,
    "",
    `${number(load.requests)} requests (${protocols(load)}), ${number(load.watchesOpened)} watches opened, ${number(load.watchesExpired)} of them ended with a 410, ${number(load.watchEvents)} events, ${number(load.bookmarks)} bookmarks, ${number(snapshots)} snapshots, ${restarts} restarts of the API server, ${stalls} times it did not answer for 3 s by itself; ${number(load.violations)} violations.`,
    "",
    "| series | median | growth per hour | 98 % bounds | verdict |",
    "| --- | ---: | ---: | ---: | --- |",
    ...rows,
    "",
    "![Live heap, memory and sockets over the time of the soak](soak/memory-and-sockets.svg)",
    "",
  ].join("\n");
}

function protocols({ requestsByProtocol }: LoadReport): string {
  return Object.entries(requestsByProtocol)
    .map(
      ([protocol, count]) =>
        `${count.toLocaleString("en-US")} over ${protocol === "http1" ? "HTTP/1.1" : "HTTP/2"}`,
    )
    .join(", ");
}
