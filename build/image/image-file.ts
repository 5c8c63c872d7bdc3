import { posix } from "node:path";

/** One entry of an image's root; `path` is absolute and normal. All belong to root, for none to change them. */
export type ImageFile =
  | { readonly kind: "file"; readonly path: string; readonly executable: boolean; readonly content: Buffer }
  | { readonly kind: "link"; readonly path: string; readonly target: string }
  | { readonly kind: "directory"; readonly path: string };

export function file(path: string, content: Buffer | string, executable = false): ImageFile {
  return { kind: "file", path, executable, content: Buffer.from(content) };
}

export function link(path: string, target: string): ImageFile {
  return { kind: "link", path, target };
}

/**
 * The same files with the directories above them, sorted by path, so that each directory is before what it holds.
 *
 * @throws Error when two entries have the same path
 */
export function withDirectories(files: readonly ImageFile[]): readonly ImageFile[] {
  const entries = new Map<string, ImageFile>();
  for (const entry of files) {
    const present = entries.get(entry.path);
    if (present !== undefined && !(present.kind === "directory" && entry.kind === "directory")) {
      throw new Error(`two entries of the image are ${entry.path}`);
    }
    entries.set(entry.path, entry);
    for (let path = posix.dirname(entry.path); path !== "/"; path = posix.dirname(path)) {
      if (!entries.has(path)) entries.set(path, { kind: "directory", path });
    }
  }
  return [...entries.values()].sort((left, right) => (left.path < right.path ? -1 : 1));
}
