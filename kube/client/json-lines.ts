import { CtrlmeshError } from "#api/errors";

/** etcd takes at most 1.5 MiB by default; JSON of the largest object with its previous state stays below. */
const lineLimitBytes = 32 * 1024 * 1024;

/**
 * Parsed lines of a watch's body, whatever the chunks. A last line without its end is dropped: the
 * connection broke inside an event, which the next watch delivers again.
 *
 * @throws MALFORMED_RESPONSE for a line that is no JSON or longer than 32 MiB
 */
export async function* jsonLines(chunks: AsyncIterable<Uint8Array>, where: string): AsyncGenerator<unknown> {
  let parts: Uint8Array[] = [];
  let partsBytes = 0;
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      parts.push(chunk.subarray(start, end));
      start = end + 1;
      const line = Buffer.concat(parts).toString("utf8");
      parts = [];
      partsBytes = 0;
      if (line.trim() !== "") yield parseLine(line, where);
    }
    if (start >= chunk.length) continue;
    parts.push(chunk.subarray(start));
    partsBytes += chunk.length - start;
    if (partsBytes > lineLimitBytes) {
      throw new CtrlmeshError("MALFORMED_RESPONSE", { what: "a watch event is longer than 32 MiB", where });
    }
  }
}

function parseLine(line: string, where: string): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new CtrlmeshError("MALFORMED_RESPONSE", { what: "a watch event is no JSON", where, cause });
  }
}
