import type { Archive, ImageLayer } from "./oci-archive.ts";

/** What the image costs, as rows of "what" and "how much". */
export function sizeRows(
  layers: readonly ImageLayer[],
  archive: Pick<Archive, "bytesOnDisk" | "compressedBytes">,
): readonly (readonly [string, string])[] {
  const parts = layers.map(({ about, files }): [string, string] => {
    const contents = files.flatMap((entry) => (entry.kind === "file" ? [entry.content.length] : []));
    const bytes = contents.reduce((sum, length) => sum + length, 0);
    return [`${about} (${contents.length} files)`, megabytes(bytes)];
  });
  return [
    ...parts,
    ["all on a node's disk", megabytes(archive.bytesOnDisk)],
    ["to pull", megabytes(archive.compressedBytes)],
  ];
}

/**
 * Puts the rows into the table of a page, between the comments that mark it.
 *
 * @throws Error when the page has no such place
 */
export function withSizeTable(page: string, rows: readonly (readonly [string, string])[]): string {
  const marked = /(<!-- sizes, written by the build -->\n).*?(\n<!-- end of sizes -->)/s;
  if (!marked.test(page)) throw new Error("the page has no place for the table of sizes");
  const table = rows.map(([what, size]) => `| ${what} | ${size} |`).join("\n");
  return page.replace(
    marked,
    (_, begin: string, end: string) => `${begin}\n| part | size |\n| --- | --- |\n${table}\n${end}`,
  );
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
