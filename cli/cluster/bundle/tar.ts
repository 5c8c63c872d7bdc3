import { gzipSync } from "node:zlib";

/** A file of an archive. */
export interface ArchiveFile {
  /** Path with slashes, at most 255 bytes, of ASCII. */
  readonly path: string;
  readonly content: string;
}

const blockBytes = 512;
const nameBytes = 100;

/** A gzipped archive of the POSIX ustar format (IEEE Std 1003.1, pax, "ustar Interchange Format"). */
export function tarGz(files: readonly ArchiveFile[], modified: Date): Buffer {
  const blocks = files.flatMap(({ path, content }) => {
    const body = Buffer.from(content);
    const padding = Buffer.alloc((blockBytes - (body.length % blockBytes)) % blockBytes);
    return [header(path, body.length, modified), body, padding];
  });
  return gzipSync(Buffer.concat([...blocks, Buffer.alloc(2 * blockBytes)]));
}

function header(path: string, size: number, modified: Date): Buffer {
  const block = Buffer.alloc(blockBytes);
  const { prefix, name } = split(path);
  const octal = (value: number, digits: number): string => `${value.toString(8).padStart(digits, "0")}\0`;
  block.write(name, 0, nameBytes, "ascii");
  block.write(octal(0o600, 7), 100, "ascii");
  block.write(octal(0, 7), 108, "ascii");
  block.write(octal(0, 7), 116, "ascii");
  block.write(octal(size, 11), 124, "ascii");
  block.write(octal(Math.floor(modified.getTime() / 1000), 11), 136, "ascii");
  // The checksum is of a header that has spaces in its place.
  block.write("        ", 148, "ascii");
  block.write("0", 156, "ascii");
  block.write("ustar\0", 257, "ascii");
  block.write("00", 263, "ascii");
  block.write(prefix, 345, 155, "ascii");
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "ascii");
  return block;
}

/** Names of more than 100 bytes are split at a slash. */
function split(path: string): { readonly prefix: string; readonly name: string } {
  if (path.length <= nameBytes) return { prefix: "", name: path };
  const slash = path.indexOf("/", path.length - nameBytes - 1);
  return { prefix: path.slice(0, slash), name: path.slice(slash + 1) };
}
