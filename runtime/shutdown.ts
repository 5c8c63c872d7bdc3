import { constants } from "node:os";
import type { Clock } from "./clock.ts";
import type { Log } from "./log.ts";

/** What of `process` is needed; tests hand in an emitter. */
export interface SignalSource {
  on(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): unknown;
  off(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): unknown;
}

interface ShutdownOptions {
  /** Time for an orderly end, in milliseconds; must fit into the pod's grace period. */
  readonly deadlineMs: number;
  readonly source: SignalSource;
  /** Ends the process at once. */
  readonly exit: (code: number) => void;
  readonly clock: Clock;
  readonly log: Log;
}

/** The end was asked for and did not come in time. */
export const exitDeadlinePassed = 75;

/** The reason with which the signal of a shutdown aborts. */
export class ShutdownRequested extends Error {
  readonly signalName: NodeJS.Signals;

  constructor(signalName: NodeJS.Signals) {
    super(`asked to end by ${signalName}`);
    this.name = "ShutdownRequested";
    this.signalName = signalName;
  }
}

/**
 * Turns SIGTERM and SIGINT into an AbortSignal. A second one ends the process at once with 128 + its number, as
 * shells expect; an end that takes longer than the deadline ends it with `exitDeadlinePassed`.
 */
export function listenForShutdown(options: ShutdownOptions): { readonly signal: AbortSignal } & Disposable {
  const { source, exit, clock, log, deadlineMs } = options;
  const controller = new AbortController();
  let deadline: Disposable | undefined;
  const listener = (name: NodeJS.Signals) => {
    if (controller.signal.aborted) {
      log.warn("second signal, ending at once", { signal: name });
      exit(128 + constants.signals[name]);
      return;
    }
    log.info("ending", { signal: name, deadlineMs });
    deadline = clock.timer(deadlineMs, () => {
      log.error("the orderly end took too long", { code: "TIMEOUT", deadlineMs });
      exit(exitDeadlinePassed);
    });
    controller.abort(new ShutdownRequested(name));
  };
  const names = ["SIGTERM", "SIGINT"] as const;
  for (const name of names) source.on(name, listener);
  return {
    signal: controller.signal,
    [Symbol.dispose]: () => {
      for (const name of names) source.off(name, listener);
      deadline?.[Symbol.dispose]();
    },
  };
}
