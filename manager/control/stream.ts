import { create } from "@bufbuild/protobuf";
import { CtrlmeshError } from "#api/errors";
import {
  type CertificateRequest,
  CertificateSchema,
  type Hello,
  ManagerMessageSchema,
  type ProxyMessage,
} from "#api/gen/ctrlmesh/v1/control_pb";
import type { Clock } from "#runtime/clock";
import type { PodIdentity } from "./authenticate.ts";
import type { Outbox } from "./outbox.ts";
import type { Proxies } from "./proxies.ts";

/** Signs the key of a proxy for the names that the manager fixes. */
export type IssueProxyCertificate = (
  publicKeySpki: Uint8Array,
  pod: PodIdentity,
) => Promise<{ readonly certificateChainPem: string; readonly notAfter: Date }>;

export interface StreamDeps {
  readonly proxies: Proxies;
  readonly issueProxyCertificate: IssueProxyCertificate;
  readonly clock: Clock;
}

const helloLimitMs = 10_000;

/** A stream that has said who it is. */
export interface OpenStream {
  readonly pod: PodIdentity;
  readonly outbox: Outbox;
  readonly messages: AsyncIterator<ProxyMessage>;
}

/**
 * The first message of a stream, which must be a hello.
 *
 * @throws PROTOCOL_VIOLATION for anything else, TIMEOUT after 10 s
 */
export async function awaitHello(
  messages: AsyncIterator<ProxyMessage>,
  clock: Clock,
  signal: AbortSignal,
): Promise<Hello> {
  const ended = Promise.withResolvers<never>();
  const stop = (): void => ended.reject(signal.reason);
  using _limit = clock.timer(helloLimitMs, () =>
    ended.reject(new CtrlmeshError("TIMEOUT", { what: `no hello within ${helloLimitMs / 1000} s` })),
  );
  signal.addEventListener("abort", stop, { once: true });
  const first = await Promise.race([messages.next(), ended.promise]).finally(() =>
    signal.removeEventListener("abort", stop),
  );
  const message = first.done === true ? undefined : first.value.message;
  if (message?.case === "hello") return message.value;
  throw new CtrlmeshError("PROTOCOL_VIOLATION", {
    what: `the first message is ${message?.case ?? "none"} and must be hello`,
  });
}

/**
 * Takes what a proxy sends until it ends its side.
 *
 * @throws PROTOCOL_VIOLATION, INVALID_KEY_FILE for a key that can't be signed
 */
export async function receive({ pod, outbox, messages }: OpenStream, deps: StreamDeps): Promise<void> {
  for (;;) {
    const next = await messages.next();
    if (next.done === true) return;
    const { message } = next.value;
    switch (message.case) {
      case "snapshotResult": {
        const { id, accepted, code, reason } = message.value;
        if (id === undefined)
          throw new CtrlmeshError("PROTOCOL_VIOLATION", { what: "an answer without an id" });
        deps.proxies.answered(pod, outbox, { id, refusal: accepted ? undefined : { code, reason } });
        break;
      }
      case "report":
        deps.proxies.reported(pod, outbox, message.value);
        break;
      case "certificateRequest":
        outbox.push(await certificateFor(message.value, pod, deps));
        break;
      case "hello":
        throw new CtrlmeshError("PROTOCOL_VIOLATION", { what: "a second hello on one stream" });
      case undefined:
        throw new CtrlmeshError("PROTOCOL_VIOLATION", {
          what: "a message of a kind that this manager does not know",
          hint: "upgrade the manager before the proxies",
        });
    }
  }
}

async function certificateFor(request: CertificateRequest, pod: PodIdentity, deps: StreamDeps) {
  const { certificateChainPem, notAfter } = await deps.issueProxyCertificate(request.publicKeySpki, pod);
  const value = create(CertificateSchema, {
    certificateChainPem,
    notAfterSeconds: BigInt(Math.floor(notAfter.getTime() / 1000)),
  });
  return create(ManagerMessageSchema, { message: { case: "certificate", value } });
}
