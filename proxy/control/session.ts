import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { CtrlmeshError } from "#api/errors";
import {
  type Certificate,
  ManagerMessageSchema,
  ProxyMessageSchema,
  type ReportSchema,
  type WebhookRoutes,
} from "#api/gen/ctrlmesh/v1/control_pb";
import type { Clock } from "#runtime/clock";
import type { Log } from "#runtime/log";
import { type HostAndPort, parseAddress } from "#runtime/setting-types";
import { requestIntervalMs, type ServingCertificate } from "../certificate.ts";
import type { Credentials } from "./credentials.ts";
import { GrpcStream } from "./grpc-stream.ts";
import type { SnapshotAnswer, SnapshotIntake } from "./snapshot-intake.ts";

type Report = Omit<MessageInitShape<typeof ReportSchema>, "inForce" | "$typeName">;

export interface ControlSessionDeps {
  /** Name in the certificate of every replica. */
  readonly serverName: string;
  readonly version: string;
  readonly intake: SnapshotIntake;
  readonly certificate: ServingCertificate;
  /** Takes who answers admission reviews; absent: the manager is not asked for it. */
  readonly onWebhookRoutes?: (routes: WebhookRoutes) => void;
  /** What the data plane counts now. */
  readonly report: () => Report;
  readonly clock: Clock;
  readonly log: Log;
}

const reportIntervalMs = 1_000;

/** How one stream ended. */
export interface StreamEnd {
  readonly failure: CtrlmeshError | undefined;
  /** The leader's address; undefined when the stream did not end by a redirect. */
  readonly redirect: HostAndPort | undefined;
}

/** Counts for metrics; plain numbers raised in place. */
export interface ControlClientCounters {
  dials: number;
  redirects: number;
  acks: number;
  nacks: number;
}

/** One stream, from dial to end. */
export class ControlSession {
  readonly #deps: ControlSessionDeps;
  readonly #counters: ControlClientCounters;
  readonly #answered: () => void;
  #stream: GrpcStream | undefined;
  #timers: Disposable[] = [];
  #lastReport: Buffer = Buffer.alloc(0);
  #redirect: Redirected | undefined;
  #violation: CtrlmeshError | undefined;

  /** @param answered called with each message of the manager that is no redirect */
  constructor(deps: ControlSessionDeps, counters: ControlClientCounters, answered: () => void) {
    this.#deps = deps;
    this.#counters = counters;
    this.#answered = answered;
  }

  async run(address: HostAndPort, { ca, token }: Credentials, signal: AbortSignal): Promise<StreamEnd> {
    const { serverName, version, clock } = this.#deps;
    const stream = new GrpcStream({
      address,
      serverName,
      trustedCertificates: ca,
      path: "/ctrlmesh.v1.ControlService/Connect",
      authorization: `Bearer ${token}`,
      userAgent: `ctrlmesh-proxy/${version}`,
      clock,
      onMessage: (message) => this.#receive(message),
    });
    this.#stream = stream;
    const stop = () => void stream[Symbol.asyncDispose]();
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    this.#sayHello();
    this.#requestCertificateWhenDue();
    this.#reportEachSecond();
    const failure = await stream.ended;
    signal.removeEventListener("abort", stop);
    for (const timer of this.#timers) timer[Symbol.dispose]();
    return {
      failure: this.#violation ?? this.#redirect?.failure ?? failure,
      redirect: this.#redirect?.address,
    };
  }

  #send(message: MessageInitShape<typeof ProxyMessageSchema>): void {
    this.#stream?.send(toBinary(ProxyMessageSchema, create(ProxyMessageSchema, message)));
  }

  #sayHello(): void {
    const { intake, version, onWebhookRoutes } = this.#deps;
    const hello = {
      proxyVersion: version,
      webhookRoutes: onWebhookRoutes !== undefined,
      shard: intake.shard,
      highestTerm: intake.highestTerm,
      ...(intake.inForce === undefined ? {} : { inForce: intake.inForce.id }),
    };
    this.#send({ message: { case: "hello", value: hello } });
  }

  #receive(bytes: Uint8Array): void {
    let received: ReturnType<typeof parseManagerMessage>;
    try {
      received = parseManagerMessage(bytes);
    } catch (cause) {
      this.#violation = new CtrlmeshError("PROTOCOL_VIOLATION", {
        what: "a message that can't be decoded",
        cause,
      });
      this.#end();
      return;
    }
    if (received.case === "redirect") {
      this.#redirect = redirectTo(received.value.leaderAddress);
      this.#end();
      return;
    }
    this.#answered();
    switch (received.case) {
      case "snapshot":
        this.#deps.intake.offer(received.value, (answer) => this.#answer(answer));
        return;
      case "certificate":
        void this.#acceptCertificate(received.value);
        return;
      case "webhookRoutes":
        this.#deps.onWebhookRoutes?.(received.value);
        return;
      default:
        // A later manager may say more; nothing that decides about requests comes outside a snapshot.
        this.#deps.log.warn("a message of the manager is not understood, ignored", {
          code: "PROTOCOL_VIOLATION",
        });
    }
  }

  #end(): void {
    void this.#stream?.[Symbol.asyncDispose]();
  }

  #answer({ id, failure }: SnapshotAnswer): void {
    if (failure === undefined) this.#counters.acks += 1;
    else this.#counters.nacks += 1;
    if (failure !== undefined) {
      const facts = { term: id?.term, revision: id?.revision, code: failure.code, reason: failure.message };
      this.#deps.log.warn("snapshot refused", facts);
    }
    this.#send({
      message: {
        case: "snapshotResult",
        value: {
          ...(id === undefined ? {} : { id: { term: id.term, revision: id.revision } }),
          accepted: failure === undefined,
          code: failure?.code ?? "",
          reason: failure?.message ?? "",
        },
      },
    });
  }

  async #acceptCertificate({ certificateChainPem }: Certificate): Promise<void> {
    try {
      await this.#deps.certificate.accept(certificateChainPem);
    } catch (error) {
      this.#deps.log.error("the certificate from the manager is not usable", { error });
    }
  }

  #requestCertificateWhenDue(): void {
    const { certificate, clock } = this.#deps;
    const dueInMs = certificate.renewalInMs;
    if (dueInMs === 0) {
      const publicKeySpki = certificate.publicKeySpki;
      this.#send({ message: { case: "certificateRequest", value: { publicKeySpki } } });
    }
    // Asked at this interval also when nothing is due: the wall clock may jump.
    this.#every(requestIntervalMs, clock, () => this.#requestCertificateWhenDue());
  }

  #reportEachSecond(): void {
    this.#every(reportIntervalMs, this.#deps.clock, () => {
      const { intake, report } = this.#deps;
      const inForce = intake.inForce === undefined ? {} : { inForce: intake.inForce.id };
      const message = create(ProxyMessageSchema, {
        message: { case: "report", value: { ...report(), ...inForce } },
      });
      const bytes = Buffer.from(toBinary(ProxyMessageSchema, message));
      if (!bytes.equals(this.#lastReport)) this.#stream?.send(bytes);
      this.#lastReport = bytes;
      this.#reportEachSecond();
    });
  }

  #every(ms: number, clock: Clock, callback: () => void): void {
    const timer = clock.timer(ms, () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
      callback();
    });
    this.#timers.push(timer);
  }
}

interface Redirected {
  readonly address: HostAndPort | undefined;
  readonly failure: CtrlmeshError | undefined;
}

function redirectTo(leaderAddress: string): Redirected {
  const address = parseAddress(leaderAddress);
  if (address !== undefined) return { address, failure: undefined };
  const what =
    leaderAddress === "" ? "no leader is known" : `redirect to ${JSON.stringify(leaderAddress)}, no address`;
  return { address: undefined, failure: new CtrlmeshError("NOT_LEADER", { what }) };
}

function parseManagerMessage(bytes: Uint8Array) {
  return fromBinary(ManagerMessageSchema, bytes).message;
}
