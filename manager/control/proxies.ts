import { create } from "@bufbuild/protobuf";
import { CtrlmeshError } from "#api/errors";
import {
  type Hello,
  ManagerMessageSchema,
  type Report,
  type Snapshot,
  SnapshotIdSchema,
  SnapshotSchema,
  type WebhookRoutes,
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

/** Why a proxy refused a snapshot. */
export interface SnapshotRefusal {
  /** Code of api/errors.ts, as the proxy says. */
  readonly code: string;
  readonly reason: string;
}

/** What is known of a proxy with an open stream; a copy that does not change any more. */
export interface ConnectedProxy {
  readonly pod: PodIdentity;
  readonly version: string;
  /** The newest snapshot that went out on this stream; undefined: none yet. */
  readonly sent: SentSnapshot | undefined;
  /**
   * The snapshot that is proven to be in force now, of those sent on this stream. That is `sent` once acknowledged;
   * undefined while the answer to it is awaited, since it comes into force before the answer; and after a refusal
   * the one in force before, if that is known.
   */
  readonly acknowledged: SentSnapshot | undefined;
  /** Its refusal of `sent`, if it refused it. */
  readonly refused: SnapshotRefusal | undefined;
  readonly report: Report | undefined;
  /**
   * Monotonic time since which its reports say of `acknowledged`: in force, no request under an older view, no
   * informer listed again that had not before. Undefined while one of these is not so. Starts anew with each stream.
   */
  readonly quietSinceMs: number | undefined;
}

/** Counts since the start of the process, for metrics. */
export interface ProxyCounters {
  snapshots: number;
  acks: number;
  nacks: number;
}

interface Entry {
  readonly pod: PodIdentity;
  readonly version: string;
  readonly outbox: Outbox;
  sent: SentSnapshot | undefined;
  isAnswered: boolean;
  /** In force unless `sent` is, which is known once that is answered. */
  inForce: SentSnapshot | undefined;
  refused: SnapshotRefusal | undefined;
  report: Report | undefined;
  quietSinceMs: number | undefined;
  readonly wantsWebhookRoutes: boolean;
  /** Of the routes that went out last on this stream. */
  webhookRoutesKey: string | undefined;
}

/**
 * The proxies that have a stream to this replica, by pod UID. One stream per pod: a newer one takes the place of an
 * older one, which may be a connection that died without a word.
 */
export class Proxies {
  readonly counters: ProxyCounters = { snapshots: 0, acks: 0, nacks: 0 };
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

  /** Number of proxies with an open stream. */
  get size(): number {
    return this.#entries.size;
  }

  get(podUid: string): ConnectedProxy | undefined {
    const entry = this.#entries.get(podUid);
    return entry === undefined ? undefined : standingOf(entry);
  }

  all(): readonly ConnectedProxy[] {
    return [...this.#entries.values()].map(standingOf);
  }

  /** Called when a proxy came, went, answered a snapshot or reported. Must not throw. */
  onChange(listener: (pod: PodIdentity) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /**
   * Gives a proxy its snapshot under a new revision, unless what went out last on its stream means the same and has
   * the same term. Returns whether it was sent; false also when the proxy has no stream. Never waits for a proxy.
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
    this.counters.snapshots += 1;
    const id = { term: facts.term, revision: this.#revision };
    // One that was never answered may have come into force, so what was before it no longer counts.
    if (entry.sent !== undefined && !entry.isAnswered) entry.inForce = undefined;
    entry.sent = { id, contentKey: facts.contentKey };
    entry.isAnswered = false;
    entry.refused = undefined;
    this.#judgeQuiet(entry);
    const value = create(SnapshotSchema, { ...snapshot, id: create(SnapshotIdSchema, id) });
    entry.outbox.push(create(ManagerMessageSchema, { message: { case: "snapshot", value } }));
    return true;
  }

  /**
   * Gives a proxy that asked for them the routes of admission reviews, unless the same went out last on its stream.
   * Returns whether they were sent. Nothing waits for them.
   */
  offerWebhookRoutes(podUid: string, routes: WebhookRoutes, contentKey: string): boolean {
    const entry = this.#entries.get(podUid);
    if (entry?.wantsWebhookRoutes !== true || entry.webhookRoutesKey === contentKey) return false;
    entry.webhookRoutesKey = contentKey;
    entry.outbox.push(create(ManagerMessageSchema, { message: { case: "webhookRoutes", value: routes } }));
    return true;
  }

  /** Ends the stream of a pod with an error that its proxy logs. */
  refuse(podUid: string, error: CtrlmeshError): void {
    this.#end(this.#entries.get(podUid), error);
  }

  /** Ends all streams in order: this replica leads no more. */
  closeAll(): void {
    for (const entry of [...this.#entries.values()]) this.#end(entry);
  }

  /** For the server: a stream said hello. An older stream of the pod ends. */
  opened(pod: PodIdentity, hello: Hello, outbox: Outbox): void {
    const previous = this.#entries.get(pod.uid)?.outbox;
    if (hello.highestTerm > this.#highestTerm) this.#highestTerm = hello.highestTerm;
    this.#entries.set(pod.uid, {
      pod,
      version: hello.proxyVersion,
      outbox,
      sent: undefined,
      isAnswered: false,
      inForce: undefined,
      refused: undefined,
      report: undefined,
      quietSinceMs: undefined,
      wantsWebhookRoutes: hello.webhookRoutes,
      webhookRoutesKey: undefined,
    });
    previous?.close(
      new CtrlmeshError("CONTROL_STREAM_FAILED", { what: "a newer stream of this pod took its place" }),
    );
    this.#tell(pod);
  }

  /** For the server: a stream ended. One that was replaced or ended from here before changes nothing. */
  closed(pod: PodIdentity, outbox: Outbox): void {
    if (this.#entries.get(pod.uid)?.outbox !== outbox) return;
    this.#entries.delete(pod.uid);
    this.#tell(pod);
  }

  /** For the server: an answer. One to a snapshot that was replaced meanwhile proves nothing and is dropped. */
  answered(
    pod: PodIdentity,
    outbox: Outbox,
    answer: { readonly id: SnapshotNumber; readonly refusal: SnapshotRefusal | undefined },
  ): void {
    const entry = this.#entryOf(pod, outbox);
    if (entry?.sent === undefined || !isSameNumber(entry.sent.id, answer.id)) return;
    this.counters[answer.refusal === undefined ? "acks" : "nacks"] += 1;
    entry.isAnswered = true;
    entry.refused = answer.refusal;
    if (answer.refusal === undefined) entry.inForce = entry.sent;
    // A proxy that takes its ack back: nothing is known of it any more.
    else if (entry.inForce === entry.sent) entry.inForce = undefined;
    this.#judgeQuiet(entry);
    this.#tell(pod);
  }

  /** For the server: a report. */
  reported(pod: PodIdentity, outbox: Outbox, report: Report): void {
    const entry = this.#entryOf(pod, outbox);
    if (entry === undefined) return;
    if (relistedKey(entry.report) !== relistedKey(report)) entry.quietSinceMs = undefined;
    entry.report = report;
    this.#judgeQuiet(entry);
    this.#tell(pod);
  }

  #entryOf(pod: PodIdentity, outbox: Outbox): Entry | undefined {
    const entry = this.#entries.get(pod.uid);
    return entry?.outbox === outbox ? entry : undefined;
  }

  #end(entry: Entry | undefined, error?: CtrlmeshError): void {
    if (entry === undefined) return;
    entry.outbox.close(error);
    this.closed(entry.pod, entry.outbox);
  }

  /** A report counts only for the snapshot that it names: an earlier one says nothing about the view after it. */
  #judgeQuiet(entry: Entry): void {
    const { report, isAnswered, inForce } = entry;
    const isQuiet =
      isAnswered &&
      inForce !== undefined &&
      report?.inForce !== undefined &&
      isSameNumber(report.inForce, inForce.id) &&
      report.requestsOnOlderView === 0n;
    if (isQuiet) entry.quietSinceMs ??= this.#clock.monotonicMs();
    else entry.quietSinceMs = undefined;
  }

  #tell(pod: PodIdentity): void {
    for (const listener of [...this.#listeners]) listener(pod);
  }
}

export function isSameNumber(left: SnapshotNumber, right: SnapshotNumber): boolean {
  return left.term === right.term && left.revision === right.revision;
}

function standingOf({ pod, version, sent, isAnswered, inForce, refused, report, quietSinceMs }: Entry) {
  const acknowledged = isAnswered ? inForce : undefined;
  return { pod, version, sent, acknowledged, refused, report, quietSinceMs };
}

function relistedKey(report: Report | undefined): string {
  const names = report?.relisted.map(({ group, resource }) => `${group}/${resource}`) ?? [];
  return names.sort().join(" ");
}
