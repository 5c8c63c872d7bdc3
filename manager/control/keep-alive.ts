import type { ServerHttp2Session } from "node:http2";
import type { Clock } from "#runtime/clock";

/** A PING goes out at this interval; without its answer in time the peer counts as dead. */
export const pingIntervalMs = 10_000;
export const pingTimeoutMs = 5_000;

/**
 * Ends connections whose peer is gone without a word or stopped, by PINGs, and those that hold no stream at an
 * interval's end: a proxy has one connection for each stream.
 */
export function keepAlive(session: ServerHttp2Session, clock: Clock): void {
  let streams = 0;
  let timer = clock.timer(pingIntervalMs, probe);
  session.on("stream", (stream) => {
    streams += 1;
    stream.once("close", () => {
      streams -= 1;
    });
  });
  session.once("close", () => timer[Symbol.dispose]());

  function probe(): void {
    if (streams === 0) {
      session.destroy();
      return;
    }
    timer = clock.timer(pingTimeoutMs, () => session.destroy());
    session.ping((error) => {
      if (error !== null || session.destroyed) return;
      timer[Symbol.dispose]();
      timer = clock.timer(pingIntervalMs, probe);
    });
  }
}
