import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import { type Agent, request as httpsRequest } from "node:https";
import { pipeline } from "node:stream/promises";
import type { TLSSocket } from "node:tls";
import { CtrlmeshError } from "#api/errors";
import type { Clock } from "#runtime/clock";
import type { HostAndPort } from "#runtime/setting-types";

/** What is asked of an operator, in this pod or in another. */
export interface Ask {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  /** Whole, so that it can be sent again. */
  readonly body: Buffer;
}

export interface Target extends HostAndPort {
  readonly agent: Agent;
}

/** A pod that does not answer a SYN is gone: its neighbour is asked while there is time. */
const connectLimitMs = 1_000;

/** Fields that belong to one connection (RFC 9110, section 7.6.1), and the length, which is set anew. */
const hopByHop = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "content-length",
  "expect",
]);

interface AskDeps {
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * Sends a request and resolves with the head of the answer, its body unread. A kept connection that the other side
 * closed meanwhile says nothing about it: the request is sent again, on a new one at the latest.
 *
 * @throws UPSTREAM_UNREACHABLE with the cause; the signal's reason when it aborts first
 */
export async function ask(question: Ask, target: Target, deps: AskDeps): Promise<IncomingMessage> {
  for (;;) {
    const answer = await askOnce(question, target, deps);
    if (answer !== "stale") return answer;
  }
}

async function askOnce(
  { method, url, headers, body }: Ask,
  { host, port, agent }: Target,
  { clock, signal }: AskDeps,
): Promise<IncomingMessage | "stale"> {
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const fields = endToEnd(headers);
  const hasBody = method !== "GET" && method !== "HEAD";
  const outgoing = httpsRequest({
    host,
    port,
    agent,
    method,
    path: url,
    signal,
    headers: hasBody ? { ...fields, "content-length": body.length } : fields,
  });
  let timer: Disposable | undefined;
  outgoing.once("socket", (socket: TLSSocket) => {
    if (!socket.connecting) return;
    timer = clock.timer(connectLimitMs, () => outgoing.destroy(new Error("no connection within 1 s")));
    socket.once("secureConnect", () => timer?.[Symbol.dispose]());
  });
  outgoing.once("response", resolve);
  outgoing.on("error", (cause) => {
    const what = `no answer: ${cause.message}`;
    reject(new CtrlmeshError("UPSTREAM_UNREACHABLE", { what, where: `${host}:${port}`, cause }));
  });
  outgoing.end(hasBody ? body : undefined);
  try {
    return await promise;
  } catch (error) {
    signal.throwIfAborted();
    if (outgoing.reusedSocket) return "stale";
    throw error;
  } finally {
    timer?.[Symbol.dispose]();
  }
}

/** Gives an answer on as it comes; a client that reads slowly slows the reading. */
export async function giveOn(answer: IncomingMessage, response: ServerResponse): Promise<void> {
  response.writeHead(answer.statusCode ?? 502, {
    ...endToEnd(answer.headers),
    ...(answer.headers["content-length"] === undefined
      ? {}
      : { "content-length": answer.headers["content-length"] }),
  });
  await pipeline(answer, response);
}

function endToEnd(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const named = new Set((headers.connection ?? "").toLowerCase().split(/\s*,\s*/));
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => !hopByHop.has(name) && !named.has(name)),
  );
}
