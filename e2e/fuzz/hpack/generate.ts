import { Random } from "../http1/random.ts";
import type { ListToEncode } from "./go-reference.ts";
import { mutated } from "./mutate.ts";
import { RandomEncoder } from "./random-encoder.ts";
import type { BlocksInput, Field, FramesInput, Operation } from "./reading.ts";

const names = [
  ":authority",
  ":method",
  ":path",
  ":scheme",
  "accept",
  "accept-encoding",
  "authorization",
  "content-length",
  "cookie",
  "user-agent",
  "x-a",
  "x-ctrlmesh-test",
] as const;
const values = ["GET", "/", "https", "gzip, deflate", "", "application/json", "10.0.0.1:443", "200"] as const;
const allOctets = Array.from({ length: 256 }, (_, octet) => String.fromCharCode(octet)).join("");
const pathOctets = "abcdefghijklmnopqrstuvwxyz0123456789-_./?=&%ABCXYZ";
const tableSizes = [4096, 4096, 4096, 4096, 0, 64, 200, 1000, 65_536] as const;

/** A number of [low, high], small ones more often. */
const few = (random: Random, low: number, high: number): number =>
  random.oneIn(8) ? random.between(low, high) : random.between(low, Math.min(high, low + 4));

function fieldOf(random: Random): Field {
  const name = random.oneIn(8) ? random.text(allOctets, random.below(12)) : random.pick(names);
  const alphabet = random.oneIn(5) ? allOctets : pathOctets;
  const value = random.oneIn(3)
    ? random.pick(values)
    : random.text(alphabet, random.below(random.oneIn(20) ? 700 : 40));
  return [name, value, random.oneIn(10)];
}

/** Header lists of one connection: fields come again, as they do. */
function listsOf(random: Random): Field[][] {
  const known: Field[] = [];
  return Array.from({ length: few(random, 1, 12) }, () =>
    Array.from({ length: few(random, 0, 16) }, () => {
      const again = known[random.below(known.length)];
      if (again !== undefined && random.below(3) > 0) return again;
      const field = fieldOf(random);
      known.push(field);
      return field;
    }),
  );
}

/** What Go's encoder is asked to encode, to be decoded under a limit of 4096 octets. */
export function listsForGo(seed: number, index: number): ListToEncode[] {
  const random = new Random(seed, index);
  return listsOf(random).map((fields) => ({
    tableSize: random.oneIn(6) ? random.between(0, 4096) : undefined,
    fields,
  }));
}

/** The blocks that Go's encoder made of `lists`. */
export function goEncoded(lists: readonly ListToEncode[], blocks: readonly Buffer[]): BlocksInput {
  return {
    kind: "blocks",
    maxTableSize: 4096,
    operations: blocks.flatMap((block, index): Operation[] => {
      const octets = lists[index]?.tableSize;
      const operation: Operation = { kind: "block", block };
      // A size that the encoder takes by itself needs no limit; every second one follows one all the same.
      return octets === undefined || index % 2 === 0
        ? [operation]
        : [{ kind: "limit", octets: 4096 }, operation];
    }),
    lists: lists.map(({ fields }) => fields),
  };
}

export function randomBlocks(seed: number, index: number): BlocksInput {
  const random = new Random(seed, index);
  const maxTableSize = random.pick(tableSizes);
  const encoder = new RandomEncoder(maxTableSize, random);
  const lists = listsOf(random);
  let limit = maxTableSize;
  const operations = lists.flatMap((fields): Operation[] => {
    const sizes: number[] = [];
    const changes: Operation[] = [];
    if (random.oneIn(6)) {
      limit = random.pick(tableSizes);
      changes.push({ kind: "limit", octets: limit });
      sizes.push(Math.min(limit, random.oneIn(2) ? limit : random.below(limit + 1)));
    } else if (random.oneIn(10)) {
      sizes.push(random.below(limit + 1));
    }
    return [...changes, { kind: "block", block: encoder.encode(fields, sizes) }];
  });
  return { kind: "blocks", maxTableSize, operations, lists };
}

/** The input with one of its blocks changed. */
export function mutatedBlocks(input: BlocksInput, random: Random): BlocksInput {
  const blocks = input.operations.filter(({ kind }) => kind === "block").length;
  let chosen = random.below(blocks);
  const operations = input.operations.map((operation) =>
    operation.kind === "block" && chosen-- === 0
      ? { ...operation, block: mutated(operation.block, random) }
      : operation,
  );
  return { ...input, operations, lists: undefined };
}

const lengthsOfType: Readonly<Record<number, number>> = { 2: 5, 3: 4, 6: 8, 8: 4 };

function frame(type: number, flags: number, streamId: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header[3] = type;
  header[4] = flags;
  header.writeUInt32BE(streamId, 5);
  return Buffer.concat([header, payload]);
}

const noise = (random: Random, length: number): Buffer =>
  Buffer.from(random.text(allOctets, length), "latin1");

/** A frame that is right where it stands; HEADERS brings its CONTINUATION along. */
function someFrames(random: Random): Buffer {
  const streamId = random.between(1, 9) + (random.oneIn(20) ? 0x80000000 : 0);
  const type = random.pick([0, 0, 0, 1, 1, 2, 3, 4, 6, 7, 8, 0x11, 0xfe]);
  const fixed = lengthsOfType[type];
  switch (type) {
    case 0:
      return frame(0, random.oneIn(3) ? 8 : random.below(2), streamId, padded(random, random.below(60), 0));
    case 1: {
      const priority = random.oneIn(4) ? 0x20 : 0;
      const isPadded = random.oneIn(4);
      const payload = isPadded
        ? padded(random, random.below(40), priority === 0 ? 0 : 5)
        : noise(random, random.between(5, 40));
      const pieces = random.oneIn(3) ? random.between(1, 3) : 0;
      const flags = priority | (isPadded ? 8 : 0) | random.below(2) | (pieces === 0 ? 4 : 0);
      const rest = Array.from({ length: pieces }, (_, piece) =>
        frame(9, piece === pieces - 1 ? 4 : 0, streamId, noise(random, random.below(20))),
      );
      return Buffer.concat([frame(1, flags, streamId, payload), ...rest]);
    }
    case 4:
      return random.oneIn(3) ? frame(4, 1, 0, Buffer.alloc(0)) : frame(4, 0, 0, settings(random));
    case 7:
      return frame(7, 0, 0, noise(random, random.between(8, 30)));
    case 8:
      return frame(
        8,
        0,
        random.oneIn(2) ? 0 : streamId,
        Buffer.from([0, 0, random.below(256), random.between(1, 255)]),
      );
    case 6:
      return frame(6, random.below(2), 0, noise(random, 8));
    default:
      return frame(type, 0, streamId, noise(random, fixed ?? random.below(40)));
  }
}

function padded(random: Random, length: number, before: number): Buffer {
  const padding = random.below(20);
  return Buffer.concat([Buffer.from([padding]), noise(random, before + length), Buffer.alloc(padding)]);
}

function settings(random: Random): Buffer {
  const entries = Array.from({ length: random.below(5) }, () => {
    const entry = Buffer.alloc(6);
    entry.writeUInt16BE(random.between(1, 9), 0);
    entry.writeUInt32BE(random.pick([0, 1, 100, 16_384, 65_535, 1 << 20]), 2);
    // What every entry takes: 1 is out of range for the frame size only, 16384 for push only.
    if (entry[1] === 5) entry.writeUInt32BE(16_384, 2);
    if (entry[1] === 2 || entry[1] === 8 || entry[1] === 9) entry.writeUInt32BE(1, 2);
    return entry;
  });
  return Buffer.concat(entries);
}

export function randomFrames(seed: number, index: number): FramesInput {
  const random = new Random(seed, index);
  const frames = Buffer.concat(Array.from({ length: few(random, 1, 12) }, () => someFrames(random)));
  const bytes = random.oneIn(2) ? mutated(frames, random) : frames;
  const cuts = Array.from({ length: random.below(6) }, () => random.below(bytes.length + 1));
  return { kind: "frames", maxFrameSize: 16_384, bytes, cuts: cuts.sort((a, b) => a - b) };
}
