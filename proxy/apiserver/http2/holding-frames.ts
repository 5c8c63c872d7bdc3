import type { ReadGate } from "../../http1/read-gate.ts";
import { FrameType, maxFrameSize } from "../../http2/constants.ts";
import { type FrameHeader, FrameReader, type FrameSink } from "../../http2/frame-reader.ts";
import type { ClientFlow } from "./flow.ts";

/**
 * Stands between the API server's frames and who passes them on, and stops before a DATA frame for which the client
 * has no room, since the proxy used some of it for answers of its own. What was read already is kept until the client
 * takes more.
 */
export class HoldingFrames implements FrameSink {
  readonly #next: FrameSink;
  readonly #flow: ClientFlow;
  readonly #gate: ReadGate;
  /** Undefined: nothing is held. */
  #kept: Buffer[] | undefined;

  constructor(next: FrameSink, flow: ClientFlow, gate: ReadGate) {
    this.#next = next;
    this.#flow = flow;
    this.#gate = gate;
  }

  header(header: Readonly<FrameHeader>, raw: Buffer): void {
    if (this.#kept === undefined && header.type === FrameType.DATA && this.#flow.mustHold(header.length)) {
      this.#kept = [];
      this.#gate.hold("window full");
    }
    if (this.#kept === undefined) this.#next.header(header, raw);
    else this.#kept.push(Buffer.from(raw));
  }

  payload(bytes: Buffer, start: number, end: number, isLast: boolean): void {
    if (this.#kept === undefined) this.#next.payload(bytes, start, end, isLast);
    else this.#kept.push(Buffer.from(bytes.subarray(start, end)));
  }

  /** Goes on with what is held, up to where the client has no room again. */
  resume(): void {
    const kept = this.#kept;
    if (kept === undefined) return;
    this.#kept = undefined;
    // It begins with a frame. Where it ends inside one, the next piece comes from whoever reads the connection.
    new FrameReader({ maxFrameSize }).push(Buffer.concat(kept), this);
    if (this.#kept === undefined) this.#gate.release("window full");
  }
}
