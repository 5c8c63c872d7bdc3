/** What the loader reads of a dynamically linked program or library (System V ABI, gABI chapters 4 and 5). */
export interface ElfFile {
  readonly architecture: "amd64" | "arm64";
  /** Path of the loader that the program names; undefined in a library. */
  readonly interpreter: string | undefined;
  /** Names of the libraries that it needs itself. */
  readonly needed: readonly string[];
}

const machines: Readonly<Record<number, ElfFile["architecture"]>> = { 62: "amd64", 183: "arm64" };
const segment = { load: 1, dynamic: 2, interpreter: 3 } as const;
const tag = { end: 0, needed: 1, stringTable: 5 } as const;

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly bytes: number;
}

/** Whether these are the bytes of an ELF file at all. */
export function isElf(bytes: Buffer): boolean {
  return bytes.readUInt32BE(0) === 0x7f454c46;
}

/** @throws Error unless it is a 64-bit little-endian ELF file for amd64 or arm64 */
export function parseElf(bytes: Buffer): ElfFile {
  const architecture = machines[bytes.readUInt16LE(18)];
  if (!isElf(bytes) || bytes[4] !== 2 || bytes[5] !== 1 || architecture === undefined) {
    throw new Error("not an ELF file for amd64 or arm64");
  }
  const segments = segmentsOf(bytes);
  const interpreter = segments.find(({ type }) => type === segment.interpreter);
  return {
    architecture,
    interpreter: interpreter && textAt(bytes, interpreter.offset),
    needed: neededOf(bytes, segments),
  };
}

function segmentsOf(bytes: Buffer): readonly Segment[] {
  const table = number(bytes, 32);
  const entryBytes = bytes.readUInt16LE(54);
  return Array.from({ length: bytes.readUInt16LE(56) }, (_, index) => {
    const at = table + index * entryBytes;
    return {
      type: bytes.readUInt32LE(at),
      offset: number(bytes, at + 8),
      address: number(bytes, at + 16),
      bytes: number(bytes, at + 32),
    };
  });
}

function neededOf(bytes: Buffer, segments: readonly Segment[]): readonly string[] {
  const dynamic = segments.find(({ type }) => type === segment.dynamic);
  if (dynamic === undefined) return [];
  const entries = Array.from({ length: dynamic.bytes / 16 }, (_, index) => ({
    tag: number(bytes, dynamic.offset + index * 16),
    value: number(bytes, dynamic.offset + index * 16 + 8),
  }));
  const end = entries.findIndex((entry) => entry.tag === tag.end);
  const used = entries.slice(0, end);
  const strings = used.find((entry) => entry.tag === tag.stringTable)?.value ?? 0;
  const table = fileOffset(strings, segments);
  return used.filter((entry) => entry.tag === tag.needed).map(({ value }) => textAt(bytes, table + value));
}

/** The dynamic section speaks of addresses in memory. */
function fileOffset(address: number, segments: readonly Segment[]): number {
  const home = segments.find(
    (candidate) =>
      candidate.type === segment.load &&
      address >= candidate.address &&
      address < candidate.address + candidate.bytes,
  );
  if (home === undefined) throw new Error("the ELF file's string table is in no segment");
  return home.offset + address - home.address;
}

function number(bytes: Buffer, at: number): number {
  return Number(bytes.readBigUInt64LE(at));
}

function textAt(bytes: Buffer, at: number): string {
  return bytes.toString("latin1", at, bytes.indexOf(0, at));
}
