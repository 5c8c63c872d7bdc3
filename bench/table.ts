import type { ResultRow } from "./results.ts";
import type { Judgement } from "./targets.ts";

/** A figure with three digits that count. */
export function shown(value: number): string {
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

/** "0.52 [0.50 - 0.55]" of the ratio. */
export function shownRatio({ ratio }: ResultRow): string {
  return `${ratio.median.toFixed(2)} [${ratio.min.toFixed(2)} - ${ratio.max.toFixed(2)}]`;
}

const boundTexts = { "<=": "at most", ">=": "at least", "<": "less than" } as const;

/** The target in words: "at most 0.58 of go", "less than 8 MB". */
export function shownTarget({ target, row }: Judgement): string {
  const { against, bound, limit } = target;
  const of = against === "value" ? unitOf(row) : ` of ${against}`;
  return `${boundTexts[bound]} ${limit}${of}`;
}

function unitOf(row: ResultRow | undefined): string {
  return row === undefined ? "" : ` ${row.unit}`;
}

/** What was measured for a target. */
export function shownValue({ target, row, value }: Judgement): string {
  if (row === undefined || value === undefined) return "-";
  if (target.against === "value") return `${shown(value)} ${row.unit}`;
  return `${shownRatio(row)} (${shown(row.product)} : ${shown(row.peerValue)} ${row.unit})`;
}

/** Lines of equal columns. */
export function textTable(lines: readonly (readonly string[])[]): string {
  const widths = (lines[0] ?? []).map((_, column) =>
    Math.max(...lines.map((line) => line[column]?.length ?? 0)),
  );
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** Each target with what was measured and whether that is enough. */
export function judgementLines(judgements: readonly Judgement[]): string[][] {
  return [
    ["figure", "case", "target", "measured", "verdict"],
    ...judgements.map((judgement) => [
      judgement.target.figure,
      judgement.target.case,
      `${shownTarget(judgement)}${judgement.target.hard ? " (hard)" : ""}`,
      shownValue(judgement),
      judgement.verdict,
    ]),
  ];
}

/** Each row of the results. */
export function resultLines(rows: readonly ResultRow[]): string[][] {
  return [
    ["case", "metric", "peer", "product", "peer's", "unit", "ratio"],
    ...rows.map((row) => [
      row.case,
      row.metric,
      row.peer,
      shown(row.product),
      shown(row.peerValue),
      row.unit,
      shownRatio(row),
    ]),
  ];
}
