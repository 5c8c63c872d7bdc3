import { oneOf } from "#runtime/setting-types";

export const outputForms = ["table", "json", "yaml"] as const;
export type OutputForm = (typeof outputForms)[number];

/** The flag -o of every command that answers. */
export const outputSetting = oneOf(outputForms, {
  description: "form of the answer: a table for people, json or yaml for programs",
  default: "table",
  short: "o",
});

/** Prints an answer on standard output: the text that `table` makes for people, or the whole of it for programs. */
export async function printAnswer<T>(
  form: OutputForm,
  answer: T,
  table: (answer: T) => string,
): Promise<void> {
  process.stdout.write(await rendered(form, answer, table));
}

/** @returns text with a line end */
export async function rendered<T>(
  form: OutputForm,
  answer: T,
  table: (answer: T) => string,
): Promise<string> {
  switch (form) {
    case "json":
      return `${JSON.stringify(answer, null, 2)}\n`;
    case "yaml":
      return (await import("yaml")).stringify(answer, { lineWidth: 110, aliasDuplicateObjects: false });
    case "table":
      return table(answer);
  }
}

/** Columns of equal width, two spaces apart; the first row is the head. No line ends with a space. */
export function tableText(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => [...(row[column] ?? "")].length)),
  );
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell + " ".repeat(Math.max(0, (widths[column] ?? 0) - [...cell].length)))
      .join("  ")
      .trimEnd(),
  );
  return `${lines.join("\n")}\n`;
}

/** Shortens a cell: tables are for people, and the whole text is in -o json. */
export function cut(text: string, limit: number): string {
  return text.length <= limit ? text : `${text.slice(0, limit - 1)}…`;
}
