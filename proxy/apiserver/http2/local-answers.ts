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
  /** Whether content may wait for room in the connection's window, or has to be left out then. */
  readonly mayWait: boolean;
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
  #waitingBytes = 0;

  constructor(toClient: FrameOutlet, flow: ClientFlow) {
    this.#toClient = toClient;
    this.#flow = flow;
  }

  get areWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /**
   * Answers a request of which the API server heard nothing, and ends its stream. Content for which a client leaves
   * no room at all on a new stream is left out: the status says the most of it.
   */
  put(
    streamId: number,
    status: KubernetesStatus,
    { accept, isHeadRequest, isRequestDone, mayWait }: AnswerFacts,
  ): void {
    const reply = localReply(status, accept);
    const hasRoom =
      reply.body.length <= this.#flow.initialStreamWindow &&
      (mayWait || reply.body.length <= this.#flow.window);
    const hasContent = !isHeadRequest && hasRoom;
    const fields = [new HeaderField(":status", String(reply.status))];
    for (const [spelling, value] of reply.fields) {
      const name = spelling.toLowerCase();
      // A length that content does not have is an error to the client (RFC 9113 section 8.1.1).
      if (hasContent || isHeadRequest || name !== "content-length") fields.push(new HeaderField(name, value));
    }
    const block = encodeFields(fields);
    this.#toClient.insertHeaders(streamId, !hasContent, block, 0, block.length);
    // Behind the end of the answer: what is left of the request is not wanted (RFC 9113 section 8.1).
    const stop = isRequestDone ? [] : [rstStreamFrame(streamId, ErrorCode.NO_ERROR)];
    if (hasContent) {
      const frames = Buffer.concat([endOf(streamId, reply.body), ...stop]);
      this.#waiting.push({ streamId, frames, octets: reply.body.length });
      this.#waitingBytes += frames.length;
      this.flush();
    } else for (const frame of stop) this.#toClient.insert(frame);
  }

  /**
   * Puts the last octets of an answer that came from the API server so far.
   *
   * @returns false when the client has no room for them now
   */
  putEnd(streamId: number, octets: Uint8Array): boolean {
    if (octets.length > 0 && octets.length > this.#flow.window) return false;
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
      this.#waitingBytes -= next.frames.length;
      this.#flow.spendOwn(next.octets);
      this.#toClient.insert(next.frames);
    }
  }

  /** The client wants no more of this stream. */
  cancel(streamId: number): void {
    const index = this.#waiting.findIndex((answer) => answer.streamId === streamId);
    const [cancelled] = index < 0 ? [] : this.#waiting.splice(index, 1);
    this.#waitingBytes -= cancelled?.frames.length ?? 0;
  }
}

function endOf(streamId: number, content: Uint8Array): Buffer {
  return dataFrames(streamId, content, { endStream: true, maxFrameSize: defaultMaxFrameSize });
}
