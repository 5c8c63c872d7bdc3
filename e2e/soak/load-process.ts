import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Done, NumberedOrder, Order } from "./load/messages.ts";
import type { LoadReport } from "./record.ts";

const program = fileURLToPath(new URL("load/main.ts", import.meta.url));
const obeyedWithinMs = 120_000;

/** The load's process. */
export class LoadProcess implements AsyncDisposable {
  readonly #child: ChildProcess = fork(program, { execArgv: [] });
  readonly #waiting = new Map<number, (report: LoadReport) => void>();
  #number = 0;

  constructor() {
    this.#child.on("message", ({ number, report }: Done) => {
      this.#waiting.get(number)?.(report);
      this.#waiting.delete(number);
    });
  }

  /** Resolves when the order has taken effect, with the counts so far. */
  order(order: Order): Promise<LoadReport> {
    const { promise, resolve, reject } = Promise.withResolvers<LoadReport>();
    const number = ++this.#number;
    const deadline = setTimeout(
      () => reject(new Error(`the load does not obey within ${obeyedWithinMs} ms: ${order.kind}`)),
      obeyedWithinMs,
    );
    this.#waiting.set(number, (report) => {
      clearTimeout(deadline);
      resolve(report);
    });
    const message: NumberedOrder = { number, order };
    this.#child.send(message, (error) => {
      if (error !== null) reject(error);
    });
    return promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, "exit");
    this.#child.kill();
    await gone;
  }
}
