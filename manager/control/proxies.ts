import { create } from "@bufbuild/protobuf";
import type { CtrlmeshError } from "#api/errors";
import {
  type Hello,
  ManagerMessageSchema,
  type Report,
  type Snapshot,
  SnapshotIdSchema,
  SnapshotSchema,
} from "#api/gen/ctrlmesh/v1/control_pb";
import type { Clock } from "#runtime/clock";
import type { PodIdentity } from "./authenticate.ts";
import type { Outbox } from "./outbox.ts";

/** Term and revision of a snapshot. */
export interface SnapshotNumber {
  readonly term: bigint;
  readonly revision: bigint;
}

/** A snapshot that went out on the present stream of a proxy. */
export interface SentSnapshot {
  readonly id: SnapshotNumber;
  /** Equal for snapshots that mean the same, see `contentKey`. */
  readonly contentKey: string;
}

/** What is known of a proxy with an open stream. */
export interface ConnectedProxy {
  readonly pod: PodIdentity;
  readonly version: string;
  /** The newest snapshot that went out on this stream; undefined: none yet. */
  readonly sent: SentSnapshot | undefined;
  /** The newest snapshot of this stream that it acknowledged. */
  readonly acknowledged: SentSnapshot | undefined;
  /** Its refusal of `sent`, if it refused it. */
  readonly refused: { readonly code: string; readonly reason: string } | undefined;
  readonly report: Report | undefined;
  /** Monotonic time at which `report` last changed in a way that says the operator still lists. */
  readonly reportChangedMs: number;
}

type Entry = { -readonly [K in keyof ConnectedProxy]: ConnectedProxy[K] } & { readonly outbox: Outbox };

/**
 * The proxies that have a stream to this replica, by pod UID. One stream per pod: a newer one takes the place of an
 * older one, which may be a connection that died without a word.
 */
export class Proxies {
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();
  readonly #listeners = new Set<(pod: PodIdentity) => void>();
  #revision = 0n;
  #highestTerm = 0n;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Highest term that any proxy said it has seen; a leader with a lower one is refused by that proxy. */
  get highestTerm(): bigint {
    return this.#highestTerm;
  }

  get(podUid: string): ConnectedProxy | undefined {
    return this.#entries.get(podUid);
  }

  all(): readonly ConnectedProxy[] {
    return [...this.#entries.values()];
  }

  /** Called when a proxy came, went, answered a snapshot or reported. */
  onChange(listener: (pod: PodIdentity) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /**
   * Gives a proxy its snapshot under a new revision, unless what went out last on its stream means the same and has
   * the same term. Returns whether it was sent; false also when the proxy has no stream.
   */
  offer(
    podUid: string,
    snapshot: Snapshot,
    facts: { readonly term: bigint; readonly contentKey: string },
  ): boolean {
    const entry = this.#entries.get(podUid);
    if (entry === undefined) return false;
    const isSame = entry.sent?.contentKey === facts.contentKey && entry.sent.id.term === facts.term;
    if (isSame) return false;
    this.#revision += 1n;
    const id = { term: facts.term, revision: this.#revision };
    entry.sent = { id, contentKey: facts.contentKey };
    entry.refused = undefined;
    const value = create(SnapshotSchema, { ...snapshot, id: create(SnapshotIdSchema, id) });
    entry.outbox.push(create(ManagerMessageSchema, { message: { case: "snapshot", value } }));
    return true;
  }

  /** Ends the stream of a pod with an error that its proxy logs. */
  refuse(podUid: string, error: CtrlmeshError): void {
    this.#entries.get(podUid)?.outbox.close(error);
  }

  /** Ends all streams in order: this replica leads no more. */
  closeAll(): void {
    for (const { outbox } of this.#entries.values()) outbox.close();
  }

  /** For the server: a stream said hello. An older stream of the pod ends. */
  opened(pod: PodIdentity, hello: Hello, outbox: Outbox): void {
    this.#entries.get(pod.uid)?.outbox.close();
    if (hello.highestTerm > this.#highestTerm) this.#highestTerm = hello.highestTerm;
    this.#entries.set(pod.uid, {
      pod,
      version: hello.proxyVersion,
      sent: undefined,
      acknowledged: undefined,
      refused: undefined,
      report: undefined,
      reportChangedMs: this.#clock.monotonicMs(),
      outbox,
    });
    this.#tell(pod);
  }

  /** For the server: a stream ended. A stream that was replaced meanwhile changes nothing. */
  closed(pod: PodIdentity, outbox: Outbox): void {
    if (this.#entries.get(pod.uid)?.outbox !== outbox) return;
    this.#entries.delete(pod.uid);
    this.#tell(pod);
  }

  /** For the server: an answer. One to a snapshot that was replaced meanwhile proves nothing and is dropped. */
  answered(
    pod: PodIdentity,
    outbox: Outbox,
    answer: { readonly id: SnapshotNumber; readonly refusal: { code: string; reason: string } | undefined },
  ): void {
    const entry = this.#entries.get(pod.uid);
    if (entry?.outbox !== outbox || entry.sent === undefined || !isSameNumber(entry.sent.id, answer.id))
      return;
    entry.refused = answer.refusal;
    if (answer.refusal === undefined) entry.acknowledged = entry.sent;
    this.#tell(pod);
  }

  /** For the server: a report. */
  reported(pod: PodIdentity, outbox: Outbox, report: Report): void {
    const entry = this.#entries.get(pod.uid);
    if (entry?.outbox !== outbox) return;
    const before = entry.report;
    entry.report = report;
    const isQuiet =
      before?.requestsOnOlderView === report.requestsOnOlderView &&
      before.relisted.length === report.relisted.length;
    if (!isQuiet) entry.reportChangedMs = this.#clock.monotonicMs();
    this.#tell(pod);
  }

  #tell(pod: PodIdentity): void {
    for (const listener of [...this.#listeners]) listener(pod);
  }
}

export function isSameNumber(left: SnapshotNumber, right: SnapshotNumber): boolean {
  return left.term === right.term && left.revision === right.revision;
}
