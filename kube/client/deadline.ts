import { CtrlmeshError } from "#api/errors";
import type { Clock } from "#runtime/clock";

/** A signal that aborts with API_UNREACHABLE after a time, or with the caller's reason before. Not armed at first. */
export interface Deadline extends Disposable {
  readonly signal: AbortSignal;
  /** Starts the time, or starts it anew. */
  arm(): void;
  /** No limit until armed again; the caller's signal still counts. */
  lift(): void;
}

/**
 * @param what message of the error, such as "no answer within 60 s"
 */
export function deadline(ms: number, what: string, clock: Clock, signal: AbortSignal): Deadline {
  const controller = new AbortController();
  const stop = () => controller.abort(signal.reason);
  if (signal.aborted) stop();
  else signal.addEventListener("abort", stop, { once: true });
  let timer: Disposable | undefined;
  const lift = () => {
    timer?.[Symbol.dispose]();
    timer = undefined;
  };
  return {
    signal: controller.signal,
    arm: () => {
      lift();
      timer = clock.timer(ms, () => controller.abort(new CtrlmeshError("API_UNREACHABLE", { what })));
    },
    lift,
    [Symbol.dispose]: () => {
      lift();
      signal.removeEventListener("abort", stop);
    },
  };
}
