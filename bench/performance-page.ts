import type { Plot } from "./charts.ts";
import type { ResultRow } from "./results.ts";
import { judgementLines, resultLines } from "./table.ts";
import { judge } from "./targets.ts";

/** A run as `docs/performance/results.json` keeps it. */
export interface StoredRun {
  /** Day of the run, ISO 8601. */
  readonly date: string;
  readonly machine: string;
  readonly repetitions: number;
  readonly measuredSeconds: number;
  readonly rows: readonly ResultRow[];
  readonly leftOut: readonly string[];
}

const begin = "<!-- results, written by the benchmark -->";
const end = "<!-- end of the results -->";

/** Puts the results of a run between the page's two marks. @throws when it has none */
export function withResults(page: string, run: StoredRun, plots: readonly Plot[]): string {
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`docs/performance.md lacks the marks "${begin}" and "${end}"`);
  return `${page.slice(0, from)}${begin}\n\n${generatedPart(run, plots)}\n${page.slice(to)}`;
}

function generatedPart(run: StoredRun, plots: readonly Plot[]): string {
  const lines = [
    `Run of ${run.date} on ${run.machine}; ${run.repetitions} repetitions of ${run.measuredSeconds} s. Ratios are product / peer: median [least - greatest of the repetitions].`,
    "",
    markdownTable(judgementLines(judge(run.rows))),
    "",
    ...plots.flatMap(({ file, title }) => [`![${title}](performance/${file})`, ""]),
    "Left out of this run:",
    "",
    ...run.leftOut.map((sentence) => `- ${sentence}`),
    "",
    "<details><summary>All figures</summary>",
    "",
    markdownTable(resultLines(run.rows)),
    "",
    "</details>",
    "",
  ];
  return lines.join("\n");
}

function markdownTable([head = [], ...rows]: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}
