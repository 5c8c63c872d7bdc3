import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { loadSubject, type Subject } from "./subject.ts";

/** A mistake that somebody could make in the parser. */
export interface PlantedBug {
  readonly name: string;
  readonly file: string;
  /** Texts of the source and what stands there instead; each must be there exactly once. */
  readonly changes: readonly (readonly [from: string, to: string])[];
}

export const plantedBugs: readonly PlantedBug[] = [
  {
    name: "LF alone ends a line of a head",
    file: "head.ts",
    changes: [
      [
        'if (end === lineStart || bytes[end - 1] !== CR) {\n        throw malformed("a line ends with LF alone; it must end with CR LF");\n      }',
        "const stop = end > lineStart && bytes[end - 1] === CR ? end - 1 : end;",
      ],
      [
        "this.#readRequestLine(bytes, lineStart, end - 1, start)",
        "this.#readRequestLine(bytes, lineStart, stop, start)",
      ],
      ["else if (end - 1 === lineStart)", "else if (stop === lineStart)"],
      ["this.#readField(bytes, lineStart, end - 1)", "this.#readField(bytes, lineStart, stop)"],
    ],
  },
  {
    name: "the first of two Content-Lengths counts",
    file: "head.ts",
    changes: [
      [
        'if (this.#contentLength !== undefined) throw malformed("there are several Content-Length headers");',
        "if (this.#contentLength !== undefined) return;",
      ],
    ],
  },
  {
    name: "a blank before the colon is skipped",
    file: "field-line.ts",
    changes: [
      [
        'if (stop === SP || stop === HTAB) return "there is a blank between a header\'s name and its colon";\n  if (stop !== COLON) return "a header\'s name holds a byte that is not allowed there";\n  line.nameStart = start;\n  line.nameEnd = at++;',
        'line.nameStart = start;\n  line.nameEnd = at;\n  while (bytes[at] === SP || bytes[at] === HTAB) at++;\n  if (bytes[at++] !== COLON) return "a header\'s name holds a byte that is not allowed there";',
      ],
    ],
  },
  {
    name: "what stands behind a chunk is not looked at",
    file: "chunked.ts",
    changes: [['if (byte !== CR) return "a chunk is longer than its size";', ""]],
  },
  {
    name: "a chunk of size 0 with an extension is no last chunk",
    file: "chunked.ts",
    changes: [
      [
        'this.#state = this.#remaining === 0 ? "trailer" : "content";',
        'this.#state = this.#remaining === 0 && this.#lineLength <= 1 ? "trailer" : "content";',
      ],
    ],
  },
  {
    name: "a response to HEAD has the body that its length tells",
    file: "framing.ts",
    changes: [["if (this.#isHeadRequest || head.status === 204", "if (head.status === 204"]],
  },
  {
    name: "a NBSP is a blank around a member of Connection",
    file: "field-line.ts",
    changes: [[".some((part) => withoutBlanks(part) === member)", ".some((part) => part.trim() === member)"]],
  },
];

/** A copy of the parser with the bug in it, in a temporary folder for as long as it is used. */
export class PlantedSubject implements Disposable {
  readonly subject: Subject;
  readonly #folder: string;

  private constructor(subject: Subject, folder: string) {
    this.subject = subject;
    this.#folder = folder;
  }

  static async create(bug: PlantedBug): Promise<PlantedSubject> {
    const root = fileURLToPath(new URL("../../../", import.meta.url));
    const folder = mkdtempSync(join(tmpdir(), "ctrlmesh-planted-"));
    const copy = join(folder, "http1");
    mkdirSync(copy);
    cpSync(join(root, "proxy", "http1"), copy, { recursive: true });
    // The copy resolves its subpath imports as the project does.
    symlinkSync(join(root, "api"), join(folder, "api"));
    writeFileSync(
      join(folder, "package.json"),
      JSON.stringify({ type: "module", imports: { "#api/*": "./api/*.ts" } }),
    );
    let source = readFileSync(join(copy, bug.file), "utf8");
    for (const [from, to] of bug.changes) {
      if (source.split(from).length !== 2) {
        rmSync(folder, { recursive: true });
        throw new Error(`${bug.name}: ${bug.file} does not hold once: ${from}`);
      }
      source = source.replace(from, () => to);
    }
    writeFileSync(join(copy, bug.file), source);
    return new PlantedSubject(await loadSubject(pathToFileURL(`${copy}/`)), folder);
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true });
  }
}
