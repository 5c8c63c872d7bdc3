import { crc32 } from "node:zlib";
import type { BlocksInput, BlocksReading, Field, FramesInput, FramesReading } from "./reading.ts";

type Decoder = typeof import("#proxy/http2/hpack-decoder");
type Encoder = typeof import("#proxy/http2/hpack-encoder");
type Fields = typeof import("#proxy/http2/hpack-field");
type Reader = typeof import("#proxy/http2/frame-reader");
type Payload = typeof import("#proxy/http2/frame-payload");
type Errors = typeof import("#proxy/http2/errors");
type Constants = typeof import("#proxy/http2/constants");
type FrameHeader = import("#proxy/http2/frame-reader").FrameHeader;

interface Modules extends Decoder, Encoder, Fields, Payload, Errors, Constants {
  readonly FrameReader: Reader["FrameReader"];
}

/** The codec under test. */
export class Subject {
  readonly #modules: Modules;

  private constructor(modules: Modules) {
    this.#modules = modules;
  }

  /** @param folder URL of the folder that holds the modules: the proxy's own, or a copy with a planted bug */
  static async load(folder: URL): Promise<Subject> {
    const names = [
      "hpack-decoder",
      "hpack-encoder",
      "hpack-field",
      "frame-reader",
      "frame-payload",
      "errors",
    ];
    const loaded = await Promise.all(
      [...names, "constants"].map((name) => import(new URL(`${name}.ts`, folder).href)),
    );
    return new Subject(Object.assign({}, ...loaded));
  }

  /**
   * @param maxListBytes lists that are larger are read as undefined, and must leave the tables right
   * @throws whatever the decoder throws besides its typed refusal
   */
  decode(
    { maxTableSize, operations }: BlocksInput,
    maxListBytes: number,
  ): BlocksReading & {
    readonly tooLarge: ReadonlySet<number>;
  } {
    const decoder = new this.#modules.HpackDecoder({ maxTableSize, maxListBytes });
    const lists: Field[][] = [];
    const tooLarge = new Set<number>();
    try {
      for (const operation of operations) {
        if (operation.kind === "limit") {
          decoder.setMaxTableSize(operation.octets);
          continue;
        }
        const { fields, isTooLarge } = decoder.decode(operation.block, 0, operation.block.length);
        if (isTooLarge) tooLarge.add(lists.length);
        lists.push(fields.map(({ name, value, neverIndexed }) => [name, value, neverIndexed]));
      }
    } catch (error) {
      return { lists, tooLarge, refusal: this.#refusal(error) };
    }
    return { lists, tooLarge, refusal: undefined };
  }

  /**
   * Decodes and encodes again what does decode, each list twice: what is kept of repeated fields comes into play
   * at the second time.
   */
  recode({ maxTableSize, operations }: BlocksInput): Buffer[] {
    const decoder = new this.#modules.HpackDecoder({ maxTableSize, maxListBytes: Number.MAX_SAFE_INTEGER });
    const blocks: Buffer[] = [];
    try {
      for (const operation of operations) {
        if (operation.kind === "limit") {
          decoder.setMaxTableSize(operation.octets);
          continue;
        }
        const { fields } = decoder.decode(operation.block, 0, operation.block.length);
        for (let round = 0; round < 2; round++) blocks.push(Buffer.from(this.#modules.encodeFields(fields)));
      }
    } catch (error) {
      this.#refusal(error);
    }
    return blocks;
  }

  /** @throws whatever the reader throws besides its typed refusals */
  readFrames({ maxFrameSize, bytes }: FramesInput, cuts: readonly number[]): FramesReading {
    const { FrameType, ErrorCode, Http2ConnectionError } = this.#modules;
    const frames: string[] = [];
    const reader = new this.#modules.FrameReader({ maxFrameSize });
    let current = { length: 0, type: 0, flags: 0, streamId: 0 };
    let pieces: Buffer[] = [];
    const sink = {
      header: (header: Readonly<FrameHeader>) => {
        current = { ...header };
        // As the connection does.
        if (header.type === FrameType.PUSH_PROMISE) {
          throw new Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE");
        }
        pieces = [];
      },
      payload: (piece: Buffer, start: number, end: number, isLast: boolean) => {
        pieces.push(Buffer.from(piece.subarray(start, end)));
        if (!isLast) return;
        const { length, type, flags, streamId } = current;
        const content = this.#content(type, flags, Buffer.concat(pieces));
        frames.push(`${length} ${type} ${flags} ${streamId} ${content.length} ${crc32(content)}`);
      },
    };
    try {
      for (const [index, end] of [...cuts, bytes.length].entries()) {
        reader.push(bytes.subarray(cuts[index - 1] ?? 0, end), sink);
      }
    } catch (error) {
      return { frames, end: "refused", refusal: this.#refusal(error) };
    }
    return { frames, end: reader.isBetweenFrames ? "clean" : "truncated", refusal: undefined };
  }

  #content(type: number, flags: number, payload: Buffer): Buffer {
    const { FrameType, dataRange, headerBlockFragmentRange, readSettings } = this.#modules;
    if (type === FrameType.SETTINGS) readSettings(payload);
    if (type === FrameType.CONTINUATION) return payload;
    if (type !== FrameType.DATA && type !== FrameType.HEADERS) return Buffer.alloc(0);
    const range =
      type === FrameType.DATA ? dataRange(flags, payload) : headerBlockFragmentRange(flags, payload);
    return payload.subarray(range.start, range.end);
  }

  #refusal(error: unknown): string {
    if (error instanceof this.#modules.Http2ConnectionError) return error.message;
    throw error;
  }
}
