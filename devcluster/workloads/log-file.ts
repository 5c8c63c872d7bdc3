import { createReadStream, existsSync, readFileSync, statSync } from "node:fs";
import type { Clock } from "#runtime/clock";
import type { PodLogRequest } from "../pod-logs.ts";

const pollMs = 100;

/**
 * The output of one run of a container from its file, cut as the request asks. With `follow` it goes on until
 * `ended` says that the run is over. Time stamps are not kept, so `sinceSeconds` and `timestamps` give all lines.
 */
export async function* readLogFile(
  path: string,
  request: Pick<PodLogRequest, "follow" | "tailLines" | "limitBytes">,
  run: { readonly clock: Clock; readonly ended: () => boolean },
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  let position = 0;
  let left = request.limitBytes ?? Number.POSITIVE_INFINITY;
  if (request.tailLines !== undefined && existsSync(path))
    position = tailOffset(readFileSync(path), request.tailLines);
  while (!signal.aborted && left > 0) {
    const isLast = !request.follow || run.ended();
    const size = existsSync(path) ? statSync(path).size : 0;
    if (size > position) {
      const end = Math.min(size, position + left) - 1;
      for await (const chunk of createReadStream(path, { start: position, end })) yield chunk as Uint8Array;
      left -= end + 1 - position;
      position = end + 1;
    }
    if (isLast) return;
    await run.clock.sleep(pollMs, signal).catch(() => undefined);
  }
}

/** Offset of the last `lines` lines. */
function tailOffset(bytes: Buffer, lines: number): number {
  if (lines <= 0) return bytes.length;
  let offset = bytes.at(-1) === 10 ? bytes.length - 1 : bytes.length;
  for (let count = 0; count < lines; count++) {
    const previous = offset === 0 ? -1 : bytes.lastIndexOf(10, offset - 1);
    if (previous < 0) return 0;
    offset = previous;
  }
  return offset + 1;
}
