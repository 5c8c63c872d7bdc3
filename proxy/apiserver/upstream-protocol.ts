import { toCtrlmeshError } from "#api/errors";
import { Backoff } from "#runtime/backoff";
import type { Clock } from "#runtime/clock";
import type { Log } from "#runtime/log";
import type { Protocol } from "../transport/upstream.ts";

export interface UpstreamProtocolDeps {
  /** One handshake with the API server that offers both protocols. @throws UPSTREAM_UNREACHABLE */
  probe(): Promise<Protocol>;
  readonly clock: Clock;
  readonly log: Log;
  /** [0, 1). */
  random(): number;
}

/** While the API server is away, it is asked again after so long. */
const probeRetryMs = { minMs: 100, maxMs: 5_000 };

/**
 * What clients are offered by ALPN: HTTP/2 only while the API server speaks it, since the bytes of a connection go to
 * it as they are. Until that is known it is HTTP/1.1, which every client falls back to.
 */
export class UpstreamProtocol implements Disposable {
  readonly #deps: UpstreamProtocolDeps;
  readonly #stop = new AbortController();
  #current: Protocol = "http/1.1";
  #asking: Promise<void> | undefined;

  constructor(deps: UpstreamProtocolDeps) {
    this.#deps = deps;
  }

  get current(): Protocol {
    return this.#current;
  }

  /**
   * Finds out what the API server speaks now: at the start, and when a connection of the kind that it was thought to
   * speak did not come about. Resolves once that is known or nobody wants to know any more; never rejects.
   */
  ask(): Promise<void> {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #ask(): Promise<void> {
    const { probe, clock, log, random } = this.#deps;
    const { signal } = this.#stop;
    const backoff = new Backoff({ ...probeRetryMs, clock, random });
    while (!signal.aborted) {
      try {
        const protocol = await probe();
        if (protocol !== this.#current) log.info("the API server's protocol", { protocol });
        this.#current = protocol;
        return;
      } catch (error) {
        log.debug("the API server's protocol is not known yet", { reason: toCtrlmeshError(error).message });
        await backoff.wait(signal).catch(() => undefined);
      }
    }
  }

  [Symbol.dispose](): void {
    this.#stop.abort();
  }
}
