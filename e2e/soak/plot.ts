/** One line of a panel. */
export interface Line {
  readonly label: string;
  readonly color: string;
  /** Dots in place of a line. */
  readonly isDotted?: boolean;
  readonly points: readonly { readonly x: number; readonly y: number }[];
}

export interface Panel {
  readonly title: string;
  readonly lines: readonly Line[];
}

export interface Plot {
  readonly title: string;
  readonly xLabel: string;
  readonly panels: readonly Panel[];
  /** Vertical lines through all panels. */
  readonly marks: readonly { readonly x: number; readonly color: string }[];
}

const width = 860;
const panelHeight = 180;
const margin = { left: 60, right: 20, top: 34, bottom: 16 } as const;
const titleHeight = 30;
const footHeight = 34;
const ticksPerAxis = 6;

/** Panels above each other over one x axis, each y axis from 0, as an SVG document. */
export function renderPlot({ title, xLabel, panels, marks }: Plot): string {
  const height = titleHeight + panels.length * panelHeight + footHeight;
  const limit = Math.max(
    1,
    ...panels.flatMap(({ lines }) => lines.flatMap(({ points }) => points.map(({ x }) => x))),
  );
  const xTicks = ticksTo(limit);
  const xOf = (x: number): number => margin.left + (x / limit) * (width - margin.left - margin.right);
  const bottom = titleHeight + panels.length * panelHeight - margin.bottom;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11">`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    text(margin.left, 20, title, 'font-size="14" font-weight="bold"'),
    ...marks.map(({ x, color }) => {
      const at = round(xOf(x));
      return `<line x1="${at}" x2="${at}" y1="${titleHeight + margin.top}" y2="${bottom}" stroke="${color}" stroke-width="0.5"/>`;
    }),
    ...panels.map((panel, index) => panelOf(panel, titleHeight + index * panelHeight, xOf, xTicks)),
    ...xTicks.map((tick) => text(xOf(tick), bottom + 16, String(tick), 'text-anchor="middle"')),
    text(width / 2, bottom + 34, xLabel, 'text-anchor="middle"'),
    "</svg>",
    "",
  ].join("\n");
}

function panelOf(
  { title, lines }: Panel,
  top: number,
  xOf: (x: number) => number,
  xTicks: readonly number[],
): string {
  const highest = Math.max(1, ...lines.flatMap(({ points }) => points.map(({ y }) => y)));
  const yTicks = ticksTo(highest);
  const limit = Math.max(highest, yTicks.at(-1) ?? 1);
  const from = top + margin.top;
  const until = top + panelHeight - margin.bottom;
  const yOf = (y: number): number => until - (y / limit) * (until - from);
  const right = width - margin.right;
  const grid = yTicks.flatMap((tick) => [
    `<line x1="${margin.left}" x2="${right}" y1="${round(yOf(tick))}" y2="${round(yOf(tick))}" stroke="#e0e0e0"/>`,
    text(margin.left - 6, yOf(tick) + 4, String(tick), 'text-anchor="end"'),
  ]);
  const ticks = xTicks.map(
    (tick) =>
      `<line x1="${round(xOf(tick))}" x2="${round(xOf(tick))}" y1="${until}" y2="${until + 4}" stroke="#808080"/>`,
  );
  const legend = lines.map(({ label, color }, index) =>
    text(margin.left + 240 + index * 150, top + 26, label, `fill="${color}"`),
  );
  return [
    text(margin.left, top + 26, title, 'font-weight="bold"'),
    ...legend,
    ...grid,
    ...ticks,
    ...lines.map((line) => drawn(line, xOf, yOf)),
  ].join("\n");
}

function drawn(
  { points, color, isDotted }: Line,
  xOf: (x: number) => number,
  yOf: (y: number) => number,
): string {
  const places = points.map(({ x, y }) => ({ x: round(xOf(x)), y: round(yOf(y)) }));
  if (isDotted)
    return places.map(({ x, y }) => `<circle cx="${x}" cy="${y}" r="2" fill="${color}"/>`).join("");
  const path = places.map(({ x, y }) => `${x},${y}`).join(" ");
  return `<polyline fill="none" stroke="${color}" stroke-width="1" points="${path}"/>`;
}

/** Round numbers from 0 up to a limit. */
function ticksTo(limit: number): number[] {
  const rough = limit / ticksPerAxis;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10) * power;
  return Array.from({ length: Math.floor(limit / step) + 1 }, (_, index) =>
    Number((index * step).toPrecision(6)),
  );
}

function text(x: number, y: number, content: string, attributes: string): string {
  const escaped = content.replace(/&/g, "&amp;").replace(/</g, "&lt;");
  return `<text x="${round(x)}" y="${round(y)}" ${attributes}>${escaped}</text>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
