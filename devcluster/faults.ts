import type { RequestInfo } from "#kube/wire/request-info";
import type { Clock } from "#runtime/clock";
import type { StatusError } from "./status-error.ts";
import { expired, tooManyRequests } from "./status-error.ts";

interface Fault {
  readonly applies: (info: RequestInfo) => boolean;
  readonly delayMs: number;
  readonly error: (() => StatusError) | undefined;
}

/** Makes chosen requests slow or refused, for tests of clients. Each fault lasts until it is disposed. */
export class Faults {
  readonly #faults = new Set<Fault>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Answers wait this long before anything of the request is looked at. */
  slow(delayMs: number, applies: (info: RequestInfo) => boolean = () => true): Disposable {
    return this.#add({ applies, delayMs, error: undefined });
  }

  /** Answers 429 with Retry-After. */
  tooManyRequests(
    retryAfterSeconds: number,
    applies: (info: RequestInfo) => boolean = () => true,
  ): Disposable {
    const error = (): StatusError =>
      tooManyRequests("too many requests, please try again later", retryAfterSeconds);
    return this.#add({ applies, delayMs: 0, error });
  }

  /** Answers 410 Expired, as an API server does for a state that it has forgotten. */
  expired(applies: (info: RequestInfo) => boolean): Disposable {
    const error = (): StatusError => expired("The resourceVersion for the provided request is too old.");
    return this.#add({ applies, delayMs: 0, error });
  }

  #add(fault: Fault): Disposable {
    this.#faults.add(fault);
    return { [Symbol.dispose]: () => this.#faults.delete(fault) };
  }

  /** @throws StatusError when a fault refuses the request */
  async apply(info: RequestInfo, signal: AbortSignal): Promise<void> {
    for (const { applies, delayMs, error } of [...this.#faults]) {
      if (!applies(info)) continue;
      if (delayMs > 0) await this.#clock.sleep(delayMs, signal);
      if (error !== undefined) throw error();
    }
  }
}
