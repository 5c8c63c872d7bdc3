import { CtrlmeshError } from "#api/errors";
import { ChunkedBody, type ContentListener } from "./chunked.ts";
import { GrowingBytes } from "./growing-bytes.ts";
import type { RequestHead } from "./head.ts";
import { type ResponseHead, ResponseHeadParser } from "./response-head.ts";

/** Follows one request's body, so that its end, the place of the next head, is known. */
export class RequestBody {
  readonly #chunked = new ChunkedBody();
  #kind: "length" | "chunked" = "length";
  #remaining = 0;

  begin(head: RequestHead): void {
    this.#kind = head.isChunked ? "chunked" : "length";
    this.#remaining = head.contentLength ?? 0;
    if (head.isChunked) this.#chunked.reset();
  }

  get isDone(): boolean {
    return this.#kind === "chunked" ? this.#chunked.isDone : this.#remaining === 0;
  }

  /**
   * Takes what belongs to the body of bytes[start, end).
   *
   * @returns the offset behind the last byte of the body
   * @throws MALFORMED_REQUEST
   */
  take(bytes: Buffer, start: number, end: number): number {
    if (this.#kind === "length") {
      const stop = Math.min(end, start + this.#remaining);
      this.#remaining -= stop - start;
      return stop;
    }
    const stop = this.#chunked.take(bytes, start, end);
    if (typeof stop === "string") {
      throw new CtrlmeshError("MALFORMED_REQUEST", { what: stop, where: "request body" });
    }
    return stop;
  }
}

/** What a response is told to whoever follows it. */
export interface ResponseListener {
  /** A final head (1xx other than 101 are not told). */
  responseHead(head: ResponseHead): void;
  /** Content of the body, without chunk framing. Only called when `wantsContent`. */
  responseContent: ContentListener;
  /** Whether the content is of interest: then `take` also stops between chunks. */
  readonly wantsContent: boolean;
}

type ResponseState = "idle" | "head" | "length" | "chunked" | "until-close" | "done" | "tunnel";

/**
 * Follows the responses of one connection (RFC 9112 section 6.3), one exchange at a time. The bytes pass
 * untouched; a head is held back until it is whole and understood, so that nothing half understood gets out.
 */
export class ResponseFraming {
  readonly #parser = new ResponseHeadParser();
  readonly #chunked = new ChunkedBody();
  readonly #partialHead = new GrowingBytes();
  #state: ResponseState = "idle";
  #remaining = 0;
  #isHeadRequest = false;
  #maySwitch = false;

  /** Expects the response to a request. `maySwitch`: it asked for an upgrade, so 101 is a valid answer. */
  begin(isHeadRequest: boolean, maySwitch: boolean): void {
    this.#state = "head";
    this.#isHeadRequest = isHeadRequest;
    this.#maySwitch = maySwitch;
  }

  /** The exchange is over; bytes that come now belong to nothing. */
  finish(): void {
    this.#state = "idle";
  }

  get isDone(): boolean {
    return this.#state === "done";
  }

  get isTunnel(): boolean {
    return this.#state === "tunnel";
  }

  /** Whether the end of the connection is the end of the response. */
  get endsWithConnection(): boolean {
    return this.#state === "until-close";
  }

  /** Whether a chunk of our own may be put in here. */
  get isBetweenChunks(): boolean {
    return this.#state === "chunked" && this.#chunked.isBetweenChunks;
  }

  /**
   * Takes bytes[start, end) up to the end of the response (or, when the listener wants content, up to the next
   * place between two chunks), and gives those that may go to the client now to `pass`.
   *
   * @returns the offset behind the last byte taken
   * @throws MALFORMED_RESPONSE, also for bytes that no request asked for
   */
  take(bytes: Buffer, start: number, end: number, listener: ResponseListener, pass: ContentListener): number {
    switch (this.#state) {
      case "head":
        return this.#takeHead(bytes, start, end, listener, pass);
      case "tunnel":
      case "until-close":
        pass(bytes, start, end);
        return end;
      case "length": {
        const stop = Math.min(end, start + this.#remaining);
        this.#remaining -= stop - start;
        if (this.#remaining === 0) this.#state = "done";
        pass(bytes, start, stop);
        return stop;
      }
      case "chunked":
        return this.#takeChunked(bytes, start, end, listener, pass);
      case "idle":
      case "done":
        throw new CtrlmeshError("MALFORMED_RESPONSE", {
          what: "the API server sent bytes that answer no request",
        });
    }
  }

  #takeChunked(
    bytes: Buffer,
    start: number,
    end: number,
    listener: ResponseListener,
    pass: ContentListener,
  ): number {
    const wants = listener.wantsContent;
    const stop = this.#chunked.take(bytes, start, end, wants ? listener.responseContent : undefined, wants);
    if (typeof stop === "string") {
      throw new CtrlmeshError("MALFORMED_RESPONSE", { what: stop, where: "response body" });
    }
    if (this.#chunked.isDone) this.#state = "done";
    pass(bytes, start, stop);
    return stop;
  }

  #takeHead(
    bytes: Buffer,
    start: number,
    end: number,
    listener: ResponseListener,
    pass: ContentListener,
  ): number {
    const kept = this.#partialHead.length;
    if (kept === 0) {
      const head = this.#parser.parse(bytes, start, end);
      if (head === undefined) {
        this.#partialHead.append(bytes, start, end);
        return end;
      }
      this.#enter(head, listener);
      pass(bytes, start, start + head.length);
      return start + head.length;
    }
    this.#partialHead.append(bytes, start, end);
    const whole = this.#partialHead.view;
    const head = this.#parser.parse(whole, 0, whole.length);
    if (head === undefined) return end;
    this.#partialHead.detach();
    this.#enter(head, listener);
    pass(whole, 0, head.length);
    return start + head.length - kept;
  }

  #enter(head: ResponseHead, listener: ResponseListener): void {
    if (head.status === 101) {
      if (!this.#maySwitch) {
        throw new CtrlmeshError("MALFORMED_RESPONSE", { what: "the API server switched protocols unasked" });
      }
      this.#state = "tunnel";
    } else if (head.status < 200) {
      return;
    } else {
      this.#enterBody(head);
    }
    listener.responseHead(head);
  }

  #enterBody(head: ResponseHead): void {
    if (this.#isHeadRequest || head.status === 204 || head.status === 304) this.#state = "done";
    else if (head.isChunked) {
      this.#state = "chunked";
      this.#chunked.reset();
    } else if (head.contentLength !== undefined) {
      this.#state = head.contentLength === 0 ? "done" : "length";
      this.#remaining = head.contentLength;
    } else {
      this.#state = "until-close";
    }
  }
}
