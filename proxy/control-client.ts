import { readFile } from "node:fs/promises";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { CtrlmeshError, toCtrlmeshError } from "#api/errors";
import {
  type Certificate,
  ManagerMessageSchema,
  ProxyMessageSchema,
  type ReportSchema,
} from "#api/gen/ctrlmesh/v1/control_pb";
import { Backoff } from "#runtime/backoff";
import type { Clock } from "#runtime/clock";
import type { Log } from "#runtime/log";
import { type HostAndPort, parseAddress, printAddress } from "#runtime/setting-types";
import { requestIntervalMs, type ServingCertificate } from "./certificate.ts";
import { GrpcStream } from "./control/grpc-stream.ts";
import type { SnapshotAnswer, SnapshotIntake } from "./control/snapshot-intake.ts";

type Report = Omit<MessageInitShape<typeof ReportSchema>, "inForce" | "$typeName">;

interface ControlClientDeps {
  /** Any replica of the manager; those that do not lead answer with the leader's address. */
  readonly managerAddress: HostAndPort;
  /** Name in the certificate of every replica. */
  readonly serverName: string;
  /** PEM bundle with the mesh CA; read at each dial, so that its rotation needs no restart. */
  readonly caFile: string;
  /** Projected token; read at each dial, since the kubelet renews it. */
  readonly tokenFile: string;
  readonly version: string;
  readonly intake: SnapshotIntake;
  readonly certificate: ServingCertificate;
  /** What the data plane counts now. */
  readonly report: () => Report;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
}

export const reconnectMinMs = 200;
export const reconnectMaxMs = 10_000;
/** A stream that lived so long was a good one: the next failure starts with short delays again. */
const goodStreamMs = 10_000;
/** Redirects that are followed without a pause: the way to a leader is one hop, two while it changes. */
const hopsLimit = 3;
const reportIntervalMs = 1_000;
/** Distinct reasons that are remembered, so that each is logged once until a stream works again. */
const reasonsLimit = 32;

/** How one stream ended. */
interface StreamEnd {
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

/**
 * Keeps a control stream to the manager's leader open, for as long as the proxy lives: dials, says hello, hands
 * snapshots to the intake, answers them, reports, and gets the serving certificate. Without a manager nothing
 * changes for the data plane.
 */
export class ControlClient {
  readonly counters: ControlClientCounters = { dials: 0, redirects: 0, acks: 0, nacks: 0 };
  readonly #deps: ControlClientDeps;
  readonly #backoff: Backoff;
  readonly #told = new Set<string>();
  #connectedTo: HostAndPort | undefined;
  #failure: CtrlmeshError | undefined;

  constructor(deps: ControlClientDeps) {
    const { clock, random } = deps;
    this.#deps = deps;
    this.#backoff = new Backoff({ minMs: reconnectMinMs, maxMs: reconnectMaxMs, clock, random });
  }

  /** Replica that answered on the stream which is open; undefined without one. */
  get connectedTo(): HostAndPort | undefined {
    return this.#connectedTo;
  }

  /** Why there is no stream, for readiness and people; undefined while one is open. */
  get failure(): CtrlmeshError | undefined {
    return this.#connectedTo === undefined ? this.#failure : undefined;
  }

  /** Runs until the signal aborts; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    let address = this.#deps.managerAddress;
    let hops = 0;
    while (!signal.aborted) {
      const startMs = this.#deps.clock.monotonicMs();
      const end = await this.#runStream(address, signal);
      if (signal.aborted) return;
      if (end.redirect !== undefined && hops < hopsLimit) {
        hops += 1;
        this.counters.redirects += 1;
        address = end.redirect;
        continue;
      }
      this.#tell(end, address);
      hops = 0;
      address = this.#deps.managerAddress;
      if (this.#deps.clock.monotonicMs() - startMs >= goodStreamMs) this.#backoff.reset();
      await this.#backoff.wait(signal).catch(() => {});
    }
  }

  async #runStream(address: HostAndPort, signal: AbortSignal): Promise<StreamEnd> {
    this.counters.dials += 1;
    let credentials: Credentials;
    try {
      credentials = await readCredentials(this.#deps.caFile, this.#deps.tokenFile);
    } catch (error) {
      return { failure: toCtrlmeshError(error), redirect: undefined };
    }
    const session = new ControlSession(this.#deps, this.counters, () => this.#connected(address));
    try {
      return await session.run(address, credentials, signal);
    } catch (error) {
      // A CA file that is no PEM, for instance: it may be half written and is read again at the next dial.
      return { failure: toCtrlmeshError(error, "CONTROL_STREAM_FAILED"), redirect: undefined };
    } finally {
      this.#connectedTo = undefined;
    }
  }

  #connected(address: HostAndPort): void {
    if (this.#connectedTo !== undefined) return;
    this.#connectedTo = address;
    this.#told.clear();
    this.#deps.log.info("control stream open", { peer: printAddress(address) });
  }

  #tell(end: StreamEnd, address: HostAndPort): void {
    const failure =
      end.failure ??
      new CtrlmeshError("NOT_LEADER", {
        what: end.redirect === undefined ? "the manager ended the stream" : "too many redirects in a row",
      });
    this.#failure = failure;
    const reason = `${failure.code} ${failure.message}`;
    if (this.#told.has(reason)) return;
    if (this.#told.size >= reasonsLimit) this.#told.clear();
    this.#told.add(reason);
    this.#deps.log.warn("no control stream, going on with what is in force", {
      peer: printAddress(address),
      error: failure,
    });
  }
}

interface Credentials {
  readonly ca: Buffer;
  readonly token: string;
}

async function readCredentials(caFile: string, tokenFile: string): Promise<Credentials> {
  const ca = await readControlFile(caFile);
  const token = (await readControlFile(tokenFile)).toString("latin1").trim();
  if (/^[\x21-\x7e]+$/.test(token)) return { ca, token };
  throw new CtrlmeshError("FILE_UNREADABLE", {
    what: token === "" ? "the token is empty" : "the token has characters that no token has",
    where: tokenFile,
    hint: "check the projected volume of the control token",
  });
}

async function readControlFile(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (cause) {
    const what = cause instanceof Error ? cause.message : String(cause);
    throw new CtrlmeshError("FILE_UNREADABLE", {
      what,
      where: path,
      hint: "check the volumes of the proxy",
      cause,
    });
  }
}

/** One stream, from dial to end. */
class ControlSession {
  readonly #deps: ControlClientDeps;
  readonly #counters: ControlClientCounters;
  readonly #answered: () => void;
  #stream: GrpcStream | undefined;
  #timers: Disposable[] = [];
  #lastReport: Buffer = Buffer.alloc(0);
  #redirect: Redirected | undefined;
  #violation: CtrlmeshError | undefined;

  /** @param answered called with each message of the manager that is no redirect */
  constructor(deps: ControlClientDeps, counters: ControlClientCounters, answered: () => void) {
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
    const { intake, version } = this.#deps;
    const hello = {
      proxyVersion: version,
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
