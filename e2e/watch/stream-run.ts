import type { StreamChecker } from "./stream-checker.ts";

const initialEventsEnd = "k8s.io/initial-events-end";

/** One watch's events on their way into a store. */
export class StreamRun {
  readonly #checker: StreamChecker;
  store: Map<string, number>;
  isInitial: boolean;
  count = 0;

  constructor(checker: StreamChecker, store: Map<string, number> | undefined) {
    this.#checker = checker;
    this.store = store ?? new Map();
    this.isInitial = store === undefined;
  }

  /** Returns true for the bookmark that ends the initial events. */
  async take(event: Parameters<StreamChecker["event"]>[0]): Promise<boolean> {
    const { type, object } = event;
    this.count++;
    if (this.isInitial && type === "BOOKMARK") {
      if (object.annotations[initialEventsEnd] !== "true") return false;
      await this.#checker.synced(object.revision, this.store);
      this.isInitial = false;
      return true;
    }
    if (this.isInitial) await this.#checker.initialEvent(event);
    else await this.#checker.event(event);
    if (type === "DELETED") this.store.delete(object.path);
    else if (type !== "BOOKMARK") this.store.set(object.path, object.revision);
    return false;
  }
}
