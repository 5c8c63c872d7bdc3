/** Name, value (Latin-1), and whether it must never be indexed. */
export type Field = readonly [name: string, value: string, neverIndexed: boolean];

/** What a connection does to the decoder of one direction. */
export type Operation =
  | { readonly kind: "limit"; readonly octets: number }
  | { readonly kind: "block"; readonly block: Buffer };

/** Header blocks of one connection. */
export interface BlocksInput {
  readonly kind: "blocks";
  readonly maxTableSize: number;
  readonly operations: readonly Operation[];
  /** What the blocks stand for; undefined once they are mutated. */
  readonly lists: readonly (readonly Field[])[] | undefined;
}

/** Frames of one direction. */
export interface FramesInput {
  readonly kind: "frames";
  readonly maxFrameSize: number;
  readonly bytes: Buffer;
  /** Offsets at which the bytes are split, ascending. */
  readonly cuts: readonly number[];
}

export type FuzzInput = BlocksInput | FramesInput;

/** What a decoder made of the blocks, up to the first that it refused. */
export interface BlocksReading {
  readonly lists: readonly (readonly Field[])[];
  /** Why the next block was refused. */
  readonly refusal: string | undefined;
}

/** What a reader made of the bytes: one text per frame, which says all that has to agree. */
export interface FramesReading {
  readonly frames: readonly string[];
  readonly end: "clean" | "truncated" | "refused";
  readonly refusal: string | undefined;
}
