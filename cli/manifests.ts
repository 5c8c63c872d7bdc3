import { readFileSync } from "node:fs";
import { text as readAll } from "node:stream/consumers";
import { type Document, parseAllDocuments, type Tags } from "yaml";
import { CtrlmeshError } from "#api/errors";

/** One object of a file of manifests. */
export interface Manifest {
  /** File and document, for messages: "op.yaml: document 2". */
  readonly place: string;
  /** The document as it stands in the file. */
  readonly source: string;
  readonly value: Readonly<Record<string, unknown>>;
}

/**
 * Reads files of one or more YAML or JSON documents; "-" is standard input. Documents of comments only are left out.
 *
 * @throws FILE_UNREADABLE; INVALID_RESOURCE with file and document for what is no YAML or no object
 */
export async function readManifests(files: readonly string[]): Promise<Manifest[]> {
  const found: Manifest[] = [];
  for (const file of files) {
    const name = file === "-" ? "standard input" : file;
    found.push(...parseManifests(file === "-" ? await readAll(process.stdin) : readFile(file), name));
  }
  return found;
}

function readFile(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CtrlmeshError("FILE_UNREADABLE", {
      where: file,
      what: reason,
      hint: "name a file, or - for standard input",
      cause,
    });
  }
}

/**
 * YAML 1.1, as kubectl reads it: `0644` is octal and `on` is true. Without dates and sexagesimal numbers, which
 * kubectl leaves as text.
 */
export const kubernetesYaml = {
  version: "1.1",
  customTags: (tags: Tags): Tags =>
    tags.filter(
      (tag) =>
        typeof tag === "string" ||
        (!("format" in tag && tag.format === "TIME") && tag.tag !== "tag:yaml.org,2002:timestamp"),
    ),
} as const;

/** @throws INVALID_RESOURCE */
export function parseManifests(text: string, file: string): Manifest[] {
  const documents: readonly Document[] = [
    ...parseAllDocuments(text, { ...kubernetesYaml, logLevel: "silent" }),
  ];
  return documents.flatMap((document, index) => {
    const place = `${file}: document ${index + 1}`;
    const [error] = document.errors;
    if (error !== undefined) throw invalid(place, error.message.replaceAll(/\s+/g, " ").trim());
    const value: unknown = document.toJS({ maxAliasCount: 100 });
    if (value === null || value === undefined) return [];
    if (typeof value !== "object" || Array.isArray(value)) throw invalid(place, "it is no object");
    const [start = 0, , end = text.length] = document.range ?? [];
    // Comments before the first document are no part of its range.
    const from = index === 0 && !text.startsWith("%") ? 0 : start;
    const source = text.slice(from, end).replace(/^---[ \t]*\n/, "");
    return [{ place, source: source.trim(), value: { ...value } }];
  });
}

function invalid(where: string, what: string): CtrlmeshError {
  return new CtrlmeshError("INVALID_RESOURCE", {
    where,
    what,
    hint: "give Kubernetes objects as YAML or JSON",
  });
}
