import { CtrlmeshError, toCtrlmeshError } from "#api/errors";
import { Backoff } from "#runtime/backoff";
import { type HostAndPort, printAddress } from "#runtime/setting-types";
import { type CredentialFiles, type Credentials, readCredentials } from "./control/credentials.ts";
import {
  type ControlClientCounters,
  ControlSession,
  type ControlSessionDeps,
  type StreamEnd,
} from "./control/session.ts";

interface ControlClientDeps extends ControlSessionDeps {
  /** Any replica of the manager; those that do not lead answer with the leader's address. */
  readonly managerAddress: HostAndPort;
  /** Mesh CA and projected token; read at each dial, since both are renewed while the proxy runs. */
  readonly credentials: CredentialFiles;
  readonly random: () => number;
}

export const reconnectMinMs = 200;
export const reconnectMaxMs = 10_000;
/** A stream that lived so long was a good one: the next failure starts with short delays again. */
const goodStreamMs = 10_000;
/** Redirects that are followed without a pause: the way to a leader is one hop, two while it changes. */
const hopsLimit = 3;
/** Distinct reasons that are remembered, so that each is logged once until a stream works again. */
const reasonsLimit = 32;

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
      credentials = await readCredentials(this.#deps.credentials);
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
