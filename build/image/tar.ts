import type { ImageFile } from "./image-file.ts";

const blockBytes = 512;
const typeFlags = { file: "0", link: "2", directory: "5" } as const;

/**
 * A tar archive (POSIX.1-1988 ustar) that depends on its entries alone: owner 0, times 0, in the order given.
 *
 * @throws Error for a path or a link target that ustar can't hold
 */
export function tar(entries: readonly ImageFile[]): Buffer {
  const blocks = entries.flatMap((entry) =>
    entry.kind === "file" ? [header(entry), entry.content, padding(entry.content)] : [header(entry)],
  );
  return Buffer.concat([...blocks, Buffer.alloc(2 * blockBytes)]);
}

function padding({ length }: Buffer): Buffer {
  return Buffer.alloc((blockBytes - (length % blockBytes)) % blockBytes);
}

/** Fields of the header as offset and width, in the standard's order; what is not named stays zero. */
function header(entry: ImageFile): Buffer {
  const block = Buffer.alloc(blockBytes);
  const text = (offset: number, width: number, value: string): void => {
    if (Buffer.byteLength(value) > width) throw new Error(`${entry.path}: too long for ustar: ${value}`);
    block.write(value, offset);
  };
  const octal = (offset: number, width: number, value: number): void =>
    text(offset, width, `${value.toString(8).padStart(width - 1, "0")}\0`);
  const { name, prefix } = splitPath(entry);
  text(0, 100, name);
  octal(100, 8, modeOf(entry));
  octal(108, 8, 0);
  octal(116, 8, 0);
  octal(124, 12, entry.kind === "file" ? entry.content.length : 0);
  octal(136, 12, 0);
  block.fill(" ", 148, 156);
  text(156, 1, typeFlags[entry.kind]);
  text(157, 100, entry.kind === "link" ? entry.target : "");
  text(257, 8, "ustar\u000000");
  text(345, 155, prefix);
  const sum = block.reduce((total, byte) => total + byte, 0);
  text(148, 8, `${sum.toString(8).padStart(6, "0")}\0 `);
  return block;
}

function modeOf(entry: ImageFile): number {
  if (entry.kind === "link") return 0o777;
  return entry.kind === "directory" || entry.executable ? 0o755 : 0o644;
}

/** A path over 100 bytes is split at a slash into a prefix and a name. */
function splitPath({ path, kind }: ImageFile): { name: string; prefix: string } {
  const relative = `${path.slice(1)}${kind === "directory" ? "/" : ""}`;
  if (Buffer.byteLength(relative) <= 100) return { name: relative, prefix: "" };
  const slash = relative.indexOf("/", relative.length - 101);
  return { name: relative.slice(slash + 1), prefix: relative.slice(0, Math.max(slash, 0)) };
}
