import type { ManagerMessage } from "#api/gen/ctrlmesh/v1/control_pb";

/**
 * What waits to go out on one stream, at most one message of each kind: a newer one says all that the waiting one
 * says. So the queue stays short however slow the proxy reads.
 */
export class Outbox {
  readonly #waiting = new Map<ManagerMessage["message"]["case"], ManagerMessage>();
  #wake: (() => void) | undefined;
  #closed = false;
  #failure: Error | undefined;

  push(message: ManagerMessage): void {
    if (this.#closed) return;
    this.#waiting.set(message.message.case, message);
    this.#wake?.();
  }

  /**
   * Ends the stream at once, with an error or in order. What waits is dropped: a replica that leads no more must not
   * send what it decided as a leader.
   */
  close(failure?: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#failure = failure;
    this.#waiting.clear();
    this.#wake?.();
  }

  /** What is pushed, until `close`; rejects with its error. For one reader. */
  async *drain(): AsyncGenerator<ManagerMessage> {
    for (;;) {
      for (const [kind, message] of this.#waiting) {
        this.#waiting.delete(kind);
        yield message;
      }
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#closed) return;
      // No pause lies between this look and the wait, so a push can't be missed.
      if (this.#waiting.size > 0) continue;
      const woken = Promise.withResolvers<void>();
      this.#wake = woken.resolve;
      await woken.promise;
    }
  }
}
