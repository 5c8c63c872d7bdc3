import { existsSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { type ElfFile, parseElf } from "./elf.ts";
import { file, type ImageFile } from "./image-file.ts";

/** Multiarch folder of the libraries, as Debian and its loader know it. */
export const libraryFolders: Readonly<Record<ElfFile["architecture"], string>> = {
  amd64: "/usr/lib/x86_64-linux-gnu",
  arm64: "/usr/lib/aarch64-linux-gnu",
};

export interface Libraries {
  readonly files: readonly ImageFile[];
  /** Where each was read, by its path in the image. */
  readonly sources: ReadonlyMap<string, string>;
}

/**
 * All libraries that programs need to start, and their loader, found in the multiarch folder under one of `roots`.
 *
 * @param programs contents of ELF files of one architecture
 * @throws Error naming a library that is under none of the roots, or has another architecture
 */
export function librariesOf(programs: readonly Buffer[], roots: readonly string[]): Libraries {
  const found = new Map<string, { source: string; content: Buffer }>();
  const queue = [...programs];
  const architecture = parseElf(queue[0] ?? Buffer.alloc(64)).architecture;
  const add = (path: string): void => {
    if (found.has(path)) return;
    // Unpacked packages have what a system with a merged /usr has there under /lib.
    const places = [path, path.replace(/^\/usr/, "")];
    const source = roots.flatMap((root) => places.map((place) => join(root, place))).find(existsSync);
    if (source === undefined) throw new Error(`${path} is not under ${roots.join(" or ")}`);
    const content = readFileSync(source);
    found.set(path, { source, content });
    queue.push(content);
  };
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    const elf = parseElf(next);
    if (elf.architecture !== architecture) throw new Error(`${elf.architecture} among ${architecture}`);
    if (elf.interpreter !== undefined) add(loaderPath(elf.interpreter));
    // The loader is loaded already when something needs it.
    const names = elf.needed.filter((name) => !name.startsWith("ld-linux"));
    for (const name of names) add(`${libraryFolders[architecture]}/${basename(name)}`);
  }
  return {
    files: [...found].map(([path, { content }]) => file(path, content, true)),
    sources: new Map([...found].map(([path, { source }]) => [path, source])),
  };
}

/** `/lib` and `/lib64` are links into `/usr` on every system with a merged `/usr`, and in the image. */
function loaderPath(interpreter: string): string {
  return `/usr${interpreter}`;
}
