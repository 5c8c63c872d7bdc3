import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { CtrlmeshError, toCtrlmeshError } from "#api/errors";
import {
  type Hello,
  type ManagerMessage,
  ManagerMessageSchema,
  type ProxyMessage,
  RedirectSchema,
} from "#api/gen/ctrlmesh/v1/control_pb";
import type { Clock } from "#runtime/clock";
import { authenticate, bearerToken, type IdentityReader, type PodIdentity } from "./authenticate.ts";
import { Outbox } from "./outbox.ts";
import { type Refusals, refusalOf } from "./refusal.ts";
import { awaitHello, type OpenStream, receive, type StreamDeps } from "./stream.ts";

export interface ServeStreamDeps extends StreamDeps {
  readonly client: IdentityReader;
  /** Whether this replica leads; only the leader serves streams. */
  readonly leads: () => boolean;
  /** host:port of the leader's control server; undefined while none is known. */
  readonly leaderAddress: () => string | undefined;
  readonly refusals: Refusals;
}

/** From the first byte to the end of the hello. While the API server is away, the review would wait for ever. */
const introductionLimitMs = 10_000;

/** One stream: who is it, is this the leader, then both directions until one side ends. */
export async function* serveStream(
  requests: AsyncIterable<ProxyMessage>,
  context: HandlerContext,
  deps: ServeStreamDeps,
): AsyncGenerator<ManagerMessage> {
  const messages = requests[Symbol.asyncIterator]();
  const token = bearerToken(context.requestHeader.get("authorization"));
  let pod: PodIdentity | undefined;
  let hello: Hello | undefined;
  try {
    {
      using limit = limitOf(introductionLimitMs, deps.clock, context.signal);
      pod = await beforeAbort(limit.signal, authenticate(token, deps.client, limit.signal));
      if (deps.leads()) hello = await beforeAbort(limit.signal, awaitHello(messages));
    }
    context.signal.throwIfAborted();
    // Asked again: leadership may have ended, and all streams with it, while this one was not yet among them.
    if (hello === undefined || !deps.leads()) {
      yield redirectTo(deps.leaderAddress());
      return;
    }
    yield* converse({ pod, messages, outbox: new Outbox() }, hello, context.signal, deps);
  } catch (thrown) {
    if (context.signal.aborted) return;
    throw refusalOf(toCtrlmeshError(thrown), pod, deps);
  }
}

async function* converse(
  stream: OpenStream,
  hello: Hello,
  signal: AbortSignal,
  deps: ServeStreamDeps,
): AsyncGenerator<ManagerMessage> {
  const { pod, outbox } = stream;
  const fields = { pod: pod.name, namespace: pod.namespace, shard: pod.shard };
  // On abort too, not only on return: a message on its way into a dead connection may never come back here.
  const end = (): void => {
    outbox.close();
    deps.proxies.closed(pod, outbox);
  };
  signal.addEventListener("abort", end, { once: true });
  try {
    deps.log.info("proxy connected", { ...fields, version: hello.proxyVersion });
    deps.proxies.opened(pod, hello, outbox);
    void receive(stream, deps).then(
      () => outbox.close(),
      (thrown: unknown) => outbox.close(toCtrlmeshError(thrown)),
    );
    yield* outbox.drain();
  } finally {
    signal.removeEventListener("abort", end);
    end();
    deps.log.info("proxy disconnected", fields);
  }
}

function redirectTo(leaderAddress: string | undefined): ManagerMessage {
  const value = create(RedirectSchema, { leaderAddress: leaderAddress ?? "" });
  return create(ManagerMessageSchema, { message: { case: "redirect", value } });
}

/** A signal that aborts with TIMEOUT after `ms`, or with the given one. */
function limitOf(ms: number, clock: Clock, signal: AbortSignal): Disposable & { signal: AbortSignal } {
  const controller = new AbortController();
  const timer = clock.timer(ms, () =>
    controller.abort(new CtrlmeshError("TIMEOUT", { what: `no token and hello within ${ms / 1000} s` })),
  );
  return {
    signal: AbortSignal.any([signal, controller.signal]),
    [Symbol.dispose]: () => timer[Symbol.dispose](),
  };
}

/** The promise's outcome, or the signal's reason as soon as it aborts, also when the work ignores the signal. */
async function beforeAbort<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const stop = (): void => aborted.reject(signal.reason);
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
