/** One request as it reached the server, told when its answer's head is decided (for a watch: when it opens). */
export interface RequestRecord {
  readonly method: string;
  /** Path and query as sent. */
  readonly target: string;
  readonly user: string;
  /** authentication.kubernetes.io/pod-uid of the token; "" without. */
  readonly podUid: string;
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
  readonly labelSelector: string;
  readonly fieldSelector: string;
  readonly userAgent: string;
  readonly status: number;
  /** Milliseconds since the epoch at which the request came in. */
  readonly receivedAtMs: number;
}

/** Tells listeners every request that is answered. */
export class RequestLog {
  readonly #listeners = new Set<(record: RequestRecord) => void>();

  /** The listener is called in the order of the answers, before the client can have read its one. */
  onRequest(listener: (record: RequestRecord) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) };
  }

  tell(record: RequestRecord): void {
    for (const listener of this.#listeners) listener(record);
  }
}
