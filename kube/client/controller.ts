import { type CtrlmeshError, toCtrlmeshError } from "#api/errors";
import type { Log } from "#runtime/log";
import type { WorkQueue } from "./work-queue.ts";

export interface ControllerOptions {
  /** Name in logs. */
  readonly name: string;
  readonly queue: WorkQueue;
  /**
   * Brings one key from what is to what should be; level-based, so it reads the current state itself. A thrown
   * error repeats the key after a growing pause.
   */
  readonly reconcile: (key: string, signal: AbortSignal) => Promise<ReconcileResult>;
  /** Keys at a time; one key is never in two hands. */
  readonly workers: number;
  readonly signal: AbortSignal;
  readonly log: Log;
}

/** `requeueAfterMs`: look at the key again then, changed or not. */
export type ReconcileResult = { readonly requeueAfterMs?: number } | undefined;

/**
 * Reconciles keys until the signal aborts, and resolves when the last running reconcile has ended: what comes
 * after it in a shutdown can rely on nothing being written any more.
 */
export async function runController(options: ControllerOptions): Promise<void> {
  await Promise.all(Array.from({ length: options.workers }, () => work(options)));
}

async function work(options: ControllerOptions): Promise<void> {
  const { queue, signal } = options;
  for (;;) {
    let key: string;
    try {
      key = await queue.take(signal);
    } catch {
      return; // only the signal ends a take
    }
    try {
      await reconcileOnce(options, key);
    } finally {
      queue.done(key);
    }
  }
}

async function reconcileOnce(options: ControllerOptions, key: string): Promise<void> {
  const { name, queue, reconcile, signal, log } = options;
  try {
    const result = await reconcile(key, signal);
    queue.forget(key);
    if (result?.requeueAfterMs !== undefined) queue.addAfter(key, result.requeueAfterMs);
  } catch (thrown) {
    if (signal.aborted) return;
    const error = toCtrlmeshError(thrown);
    report(log, error, { controller: name, key, retryInMs: Math.round(queue.retry(key)) });
  }
}

function report(log: Log, error: CtrlmeshError, fields: Readonly<Record<string, unknown>>): void {
  // A lost compare-and-swap only means that our copy was a moment old.
  if (error.code === "API_CONFLICT") log.debug("reconcile is repeated after a conflict", fields);
  else log.warn("reconcile failed", { ...fields, error });
}
