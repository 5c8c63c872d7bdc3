import { create } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import { CtrlmeshError, toCtrlmeshError } from "#api/errors";
import {
  type CertificateRequest,
  CertificateSchema,
  type Hello,
  ManagerMessageSchema,
  type ProxyMessage,
  type SnapshotResult,
} from "#api/gen/ctrlmesh/v1/control_pb";
import type { Clock } from "#runtime/clock";
import type { Log } from "#runtime/log";
import type { PodIdentity } from "./authenticate.ts";
import type { Outbox } from "./outbox.ts";
import type { Proxies } from "./proxies.ts";

/** Signs the key of a proxy for the names that the manager fixes. @throws INVALID_KEY_FILE */
export type IssueProxyCertificate = (
  publicKeySpki: Uint8Array,
  pod: PodIdentity,
) => Promise<{ readonly certificateChainPem: string; readonly notAfter: Date }>;

export interface StreamDeps {
  readonly proxies: Proxies;
  readonly issueProxyCertificate: IssueProxyCertificate;
  readonly clock: Clock;
  readonly log: Log;
}

/** A stream that has said who it is. */
export interface OpenStream {
  readonly pod: PodIdentity;
  readonly outbox: Outbox;
  readonly messages: AsyncIterator<ProxyMessage>;
}

/** A proxy asks once on each stream and then once a minute at most; a signature costs more than its request. */
const certificateIntervalMs = 10_000;

/**
 * The first message of a stream, which must be a hello.
 *
 * @throws PROTOCOL_VIOLATION for anything else, CONTROL_STREAM_FAILED when the connection broke
 */
export async function awaitHello(messages: AsyncIterator<ProxyMessage>): Promise<Hello> {
  const message = (await next(messages))?.message;
  if (message?.case !== "hello") {
    throw violation(`the first message is ${message?.case ?? "none"} and must be hello`);
  }
  // Terms are kept as JSON numbers; a larger one was never given out, and no leader could ever exceed it.
  if (message.value.highestTerm > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw violation(`term ${message.value.highestTerm} is none that a manager gives out`);
  }
  return message.value;
}

/**
 * Takes what a proxy sends until it ends its side.
 *
 * @throws PROTOCOL_VIOLATION, CONTROL_STREAM_FAILED when the connection broke
 */
export async function receive(stream: OpenStream, deps: StreamDeps): Promise<void> {
  const { pod, outbox, messages } = stream;
  let certificateDueMs = Number.NEGATIVE_INFINITY;
  for (;;) {
    const received = await next(messages);
    if (received === undefined) return;
    const { message } = received;
    switch (message.case) {
      case "snapshotResult":
        takeAnswer(message.value, stream, deps);
        break;
      case "report":
        deps.proxies.reported(pod, outbox, message.value);
        break;
      case "certificateRequest": {
        const nowMs = deps.clock.monotonicMs();
        if (nowMs < certificateDueMs) throw violation("certificates are asked for too often");
        certificateDueMs = nowMs + certificateIntervalMs;
        // Not awaited: whoever signs may be slow, and an ack must not wait for it.
        void sendCertificate(message.value, stream, deps);
        break;
      }
      case "hello":
        throw violation("a second hello on one stream");
      case undefined:
        throw new CtrlmeshError("PROTOCOL_VIOLATION", {
          what: "a message of a kind that this manager does not know",
          hint: "upgrade the manager before the proxies",
        });
    }
  }
}

/** The next message; undefined when the proxy has ended its side. */
async function next(messages: AsyncIterator<ProxyMessage>): Promise<ProxyMessage | undefined> {
  try {
    const { done, value } = await messages.next();
    return done === true ? undefined : value;
  } catch (cause) {
    // The gRPC library judges bytes with its own error class; all else is the connection's.
    if (cause instanceof ConnectError) {
      throw new CtrlmeshError("PROTOCOL_VIOLATION", { what: cause.rawMessage, cause });
    }
    throw new CtrlmeshError("CONTROL_STREAM_FAILED", { what: "the connection broke", cause });
  }
}

function takeAnswer({ id, accepted, code, reason }: SnapshotResult, stream: OpenStream, deps: StreamDeps) {
  if (id === undefined) throw violation("an answer without an id");
  const { pod, outbox } = stream;
  if (!accepted) {
    const facts = { term: id.term, revision: id.revision, code, reason };
    deps.log.warn("snapshot refused by the proxy", { pod: pod.name, namespace: pod.namespace, ...facts });
  }
  deps.proxies.answered(pod, outbox, { id, refusal: accepted ? undefined : { code, reason } });
}

/**
 * Never rejects. A key that is none ends the stream; any other trouble with signing is ours and must not cost the
 * proxy its snapshots: it asks again within a minute.
 */
async function sendCertificate(request: CertificateRequest, { pod, outbox }: OpenStream, deps: StreamDeps) {
  try {
    const { certificateChainPem, notAfter } = await deps.issueProxyCertificate(request.publicKeySpki, pod);
    const notAfterSeconds = BigInt(Math.floor(notAfter.getTime() / 1000));
    const value = create(CertificateSchema, { certificateChainPem, notAfterSeconds });
    outbox.push(create(ManagerMessageSchema, { message: { case: "certificate", value } }));
  } catch (thrown) {
    const error = toCtrlmeshError(thrown);
    if (error.code === "INVALID_KEY_FILE") outbox.close(error);
    else deps.log.error("no certificate for a proxy", { pod: pod.name, namespace: pod.namespace, error });
  }
}

function violation(what: string): CtrlmeshError {
  return new CtrlmeshError("PROTOCOL_VIOLATION", { what });
}
