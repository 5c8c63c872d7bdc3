import { HpackDecoder } from "../../http2/hpack-decoder.ts";
import type { HeaderField } from "../../http2/hpack-field.ts";
import type { AnswerHead } from "../watch-end.ts";

/** Most octets of a decoded response head; Go's transport takes 10 MiB by default, API servers send a few hundred. */
const maxListBytes = 1 << 20;
/** First octet of a block to the status that it stands for: entries 8 to 14 of HPACK's static table. */
const indexedStatus: Readonly<Record<number, number>> = {
  136: 200,
  137: 204,
  138: 206,
  139: 304,
  140: 400,
  141: 404,
  142: 500,
};
/** An API server that was told to keep no table says so once, at the start of its first block. */
const sizeUpdateToZero = 0x20;

/**
 * Reads heads of answers. Their blocks stand for themselves, since the API server was told to keep no table
 * (`settingsForUpstream`).
 */
export class AnswerHeads {
  readonly #decoder = new HpackDecoder({ maxTableSize: 0, maxListBytes });

  /** The status alone; undefined when the block doesn't begin with one. @throws Http2ConnectionError */
  statusOf(block: Buffer, start: number, end: number): number | undefined {
    const first = block[start] === sizeUpdateToZero ? start + 1 : start;
    return indexedStatus[block[first] ?? 0] ?? this.#statusIn(this.#fields(block, start, end));
  }

  /** All that is of interest; undefined when the block has no status. @throws Http2ConnectionError */
  headOf(block: Buffer, start: number, end: number): AnswerHead | undefined {
    const fields = this.#fields(block, start, end);
    const status = this.#statusIn(fields);
    if (status === undefined) return undefined;
    const fieldValue = (name: string) => fields.find((field) => field.name === name)?.value;
    return {
      status,
      contentType: fieldValue("content-type"),
      contentEncoding: fieldValue("content-encoding"),
      isStreamed: fieldValue("content-length") === undefined,
    };
  }

  #fields(block: Buffer, start: number, end: number): readonly HeaderField[] {
    return this.#decoder.decode(block, start, end).fields;
  }

  #statusIn(fields: readonly HeaderField[]): number | undefined {
    const field = fields[0];
    if (field?.name !== ":status" || !/^[1-9]\d\d$/.test(field.value)) return undefined;
    return Number(field.value);
  }
}
