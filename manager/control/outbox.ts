import type { ManagerMessage } from "#api/gen/ctrlmesh/v1/control_pb";

/**
 * What waits to go out on one stream. A snapshot that has not gone out yet is replaced by a newer one, so the
 * queue stays short however slow the proxy reads.
 */
export class Outbox {
  #waiting: ManagerMessage[] = [];
  #wake: (() => void) | undefined;
  #closed = false;
  #failure: Error | undefined;

  push(message: ManagerMessage): void {
    if (this.#closed) return;
    if (message.message.case === "snapshot") {
      this.#waiting = this.#waiting.filter((waiting) => waiting.message.case !== "snapshot");
    }
    this.#waiting.push(message);
    this.#wake?.();
  }

  /** Ends the stream after what waits has gone out; with a failure, at once and with that error. */
  close(failure?: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#failure = failure;
    this.#wake?.();
  }

  async *drain(): AsyncGenerator<ManagerMessage> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure;
      const next = this.#waiting.shift();
      if (next !== undefined) {
        yield next;
        continue;
      }
      if (this.#closed) return;
      const woken = Promise.withResolvers<void>();
      this.#wake = woken.resolve;
      await woken.promise;
    }
  }
}
