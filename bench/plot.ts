/** Bars that belong together. */
export interface BarGroup {
  readonly name: string;
  readonly bars: readonly Bar[];
}

export interface Bar {
  readonly name: string;
  readonly value: number;
}

export interface BarChart {
  readonly title: string;
  readonly unit: string;
  readonly groups: readonly BarGroup[];
}

const width = 760;
const labelWidth = 110;
const valueWidth = 70;
const barHeight = 13;
const groupGap = 30;
const top = 40;
/** The product stands out; the others differ by their name alone. */
const colours = { product: "#1f6feb", other: "#9aa4b2" } as const;

/** A chart of horizontal bars as an SVG document; each group has a scale of its own. */
export function barChart({ title, unit, groups }: BarChart): string {
  const parts: string[] = [text(10, 22, `${title} (${unit})`, "title")];
  let y = top;
  for (const { name, bars } of groups) {
    const longest = Math.max(...bars.map(({ value }) => value));
    parts.push(text(10, y + 12, name, "group"));
    y += 18;
    for (const bar of bars) {
      parts.push(...drawBar(bar, y, longest));
      y += barHeight + 3;
    }
    y += groupGap - 18;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y}" width="${width}" height="${y}" font-family="sans-serif" font-size="11">
<style>.title{font-size:15px;font-weight:bold}.group{font-weight:bold}</style>
<rect width="100%" height="100%" fill="#ffffff"/>
${parts.join("\n")}
</svg>
`;
}

function drawBar({ name, value }: Bar, y: number, longest: number): string[] {
  const length = longest > 0 ? Math.max(1, (value / longest) * (width - labelWidth - valueWidth)) : 1;
  const fill = name === "product" ? colours.product : colours.other;
  return [
    text(20, y + 10, name),
    `<rect x="${labelWidth}" y="${y}" width="${length.toFixed(1)}" height="${barHeight}" fill="${fill}"/>`,
    text(labelWidth + length + 5, y + 10, value >= 100 ? value.toFixed(0) : value.toPrecision(3)),
  ];
}

function text(x: number, y: number, content: string, style?: string): string {
  const escaped = content.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  const attribute = style === undefined ? "" : ` class="${style}"`;
  return `<text x="${x.toFixed(1)}" y="${y}"${attribute}>${escaped}</text>`;
}
