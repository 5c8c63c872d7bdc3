import type { ConnectionDeps } from "../client-connection.ts";
import { floorWaitMs } from "../client-connection.ts";
import type { Forward, Refuse, Rules } from "../pipeline.ts";
import type { Http2Stream } from "./stream.ts";

/** Requests that wait for a floor at the same time on one connection; more are told to come again. */
const waitingLimit = 1_000;

export interface WaitingOutcome {
  /** The wait is over: this becomes of the request. */
  decided(decision: Forward | Refuse, rules: Rules): void;
  /** The wait took too long. */
  expired(): void;
}

interface WaitingDeps extends Pick<ConnectionDeps, "clock" | "rules" | "decide"> {
  /** Runs what no socket called, so that something thrown ends this connection only. */
  guard(call: () => void): void;
}

/** Requests of one connection that can't be decided about before the floor of their resource is known. */
export class WaitingRequests {
  readonly #deps: WaitingDeps;
  readonly #streams = new Set<Http2Stream>();

  constructor(deps: WaitingDeps) {
    this.#deps = deps;
  }

  get isFull(): boolean {
    return this.#streams.size >= waitingLimit;
  }

  /** Decides anew each time that `ready`, or what the next decision waits for, settles. */
  add(stream: Http2Stream, ready: Promise<void>, outcome: WaitingOutcome): void {
    const { clock, rules, decide, guard } = this.#deps;
    this.#streams.add(stream);
    stream.timer = clock.timer(floorWaitMs, () => {
      this.remove(stream);
      guard(() => outcome.expired());
    });
    const retry = () => {
      if (!this.#streams.has(stream)) return;
      guard(() => {
        const current = rules();
        const decision = decide(stream.request, current);
        if (decision.kind === "wait") {
          decision.ready.then(later, later);
          return;
        }
        this.remove(stream);
        outcome.decided(decision, current);
      });
    };
    // A later turn: a promise that is always ready must not keep the timer from firing.
    const later = () => setImmediate(retry);
    ready.then(later, later);
  }

  /** The request waits no more; nothing happens when it doesn't. */
  remove(stream: Http2Stream): void {
    if (this.#streams.delete(stream)) stream.stopTimer();
  }
}
