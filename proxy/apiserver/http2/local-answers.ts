import type { KubernetesStatus } from "#kube/wire/status";
import { defaultMaxFrameSize, ErrorCode } from "../../http2/constants.ts";
import type { FrameOutlet } from "../../http2/frame-outlet.ts";
import { dataFrames, rstStreamFrame } from "../../http2/frame-writer.ts";
import { encodeFields } from "../../http2/hpack-encoder.ts";
import { HeaderField } from "../../http2/hpack-field.ts";
import { localReply } from "../local-reply.ts";
import type { ClientFlow } from "./flow.ts";

export interface AnswerFacts {
  readonly accept: string | undefined;
  readonly isHeadRequest: boolean;
  /** Whether the client has sent all of its request. */
  readonly isRequestDone: boolean;
}

interface WaitingAnswer {
  readonly streamId: number;
  readonly frames: Buffer;
  readonly octets: number;
}

/** What the proxy sends on its own, within the client's windows. */
export class LocalAnswers {
  readonly #toClient: FrameOutlet;
  readonly #flow: ClientFlow;
  /** For want of room in the connection's window. */
  #waiting: WaitingAnswer[] = [];

  constructor(toClient: FrameOutlet, flow: ClientFlow) {
    this.#toClient = toClient;
    this.#flow = flow;
  }

  get areWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  get waitingBytes(): number {
    return this.#waiting.reduce((sum, { octets }) => sum + octets, 0);
  }

  /**
   * Answers a request of which the API server heard nothing, and ends its stream. Content for which a client leaves
   * no room at all on a new stream is left out: the status line says the most of it.
   */
  put(
    streamId: number,
    status: KubernetesStatus,
    { accept, isHeadRequest, isRequestDone }: AnswerFacts,
  ): void {
    const reply = localReply(status, accept);
    const fields = reply.fields.map(([name, value]) => new HeaderField(name.toLowerCase(), value));
    const block = encodeFields([new HeaderField(":status", String(reply.status)), ...fields]);
    const hasContent = !isHeadRequest && reply.body.length <= this.#flow.initialStreamWindow;
    this.#toClient.insertHeaders(streamId, !hasContent, block, 0, block.length);
    // Behind the end of the answer: what is left of the request is not wanted (RFC 9113 section 8.1).
    const stop = isRequestDone ? Buffer.alloc(0) : rstStreamFrame(streamId, ErrorCode.NO_ERROR);
    const content = hasContent ? endOf(streamId, reply.body) : Buffer.alloc(0);
    const octets = hasContent ? reply.body.length : 0;
    this.#waiting.push({ streamId, frames: Buffer.concat([content, stop]), octets });
    this.flush();
  }

  /**
   * Puts the last octets of an answer that came from the API server so far.
   *
   * @returns false when the client has no room for them now
   */
  putEnd(streamId: number, octets: Uint8Array): boolean {
    if (octets.length > this.#flow.window) return false;
    this.#flow.spendOwn(octets.length);
    this.#toClient.insert(endOf(streamId, octets));
    return true;
  }

  /** Sends what has room by now. */
  flush(): void {
    for (;;) {
      const next = this.#waiting[0];
      if (next === undefined || next.octets > this.#flow.window) return;
      this.#waiting.shift();
      this.#flow.spendOwn(next.octets);
      if (next.frames.length > 0) this.#toClient.insert(next.frames);
    }
  }

  /** The client wants no more of this stream. */
  cancel(streamId: number): void {
    this.#waiting = this.#waiting.filter((answer) => answer.streamId !== streamId);
  }
}

function endOf(streamId: number, content: Uint8Array): Buffer {
  return dataFrames(streamId, content, { endStream: true, maxFrameSize: defaultMaxFrameSize });
}
