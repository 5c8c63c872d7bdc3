import { toBinary } from "@bufbuild/protobuf";
import { CtrlmeshError, toCtrlmeshError } from "#api/errors";
import { type Snapshot, SnapshotSchema } from "#api/gen/ctrlmesh/v1/control_pb";
import type { Clock } from "#runtime/clock";
import type { Log } from "#runtime/log";
import type { FloorsOnDisk } from "../apiserver/floors-on-disk.ts";
import { type CompiledSnapshot, compareSnapshotIds, type SnapshotId } from "../snapshot.ts";
import type { SnapshotFile } from "../snapshot-file.ts";

/** What became of one snapshot. */
export interface SnapshotAnswer {
  /** Undefined when the message carried none. */
  readonly id: SnapshotId | undefined;
  /** Set for a nack. */
  readonly failure: CtrlmeshError | undefined;
}

export type AnswerSnapshot = (answer: SnapshotAnswer) => void;

interface SnapshotIntakeDeps {
  /** Checks and indexes a message. Throws SNAPSHOT_INVALID, SNAPSHOT_UNKNOWN_FIELD or INVALID_LABEL_SELECTOR. */
  readonly compile: (message: Snapshot) => CompiledSnapshot;
  readonly dataPlane: {
    /** In force at once; resolves when an ack may go out, rejects with the signal's reason. */
    switchTo(next: CompiledSnapshot, signal: AbortSignal): Promise<unknown>;
  };
  /** Floors of the snapshot in force. */
  readonly floors: { toJSON(): FloorsOnDisk };
  readonly file: SnapshotFile;
  readonly clock: Clock;
  readonly log: Log;
}

interface Candidate {
  readonly compiled: CompiledSnapshot;
  readonly bytes: Uint8Array;
  /** Of the stream that sent it last: an answer to a stream that is gone is lost, and the manager sends again. */
  answer: AnswerSnapshot;
  readonly superseded: AbortController;
}

/** At its start an operator lists all its kinds at once, and each makes a floor known. */
const floorDelayMs = 1_000;

/**
 * The way of a snapshot from the manager into force: check, compare, store, switch, ack.
 *
 * - One at a time. Of several that wait the newest wins, and the wait of an earlier one for its ack ends: snapshots
 *   are whole, so the newest says all. Such a one gets no answer; the manager waits only for its newest revision.
 * - Stored before it is in force. A proxy that is killed in between starts with the newer one, which is the closed
 *   side, and a nack for a disk that can neither write nor unlink changes nothing. Floors are stored afterwards: the
 *   switch makes those of the changed resources invalid.
 * - The one in force, sent again, is stored again if it is not, waits again for writes in flight, and is acked.
 */
export class SnapshotIntake implements AsyncDisposable {
  readonly #deps: SnapshotIntakeDeps;
  #inForce: Candidate | undefined;
  #applying: Candidate | undefined;
  #next: Candidate | undefined;
  #shard = "";
  #highestTerm = 0n;
  /** What the file holds: pair and floors; undefined when there is no file of use. */
  #onDisk: string | undefined;
  #floorsDue = false;
  #floorTimer: Disposable | undefined;
  #loop: Promise<void> | undefined;
  #stopped = false;

  constructor(deps: SnapshotIntakeDeps) {
    this.#deps = deps;
  }

  get inForce(): CompiledSnapshot | undefined {
    return this.#inForce?.compiled;
  }

  /** Shard that this pod serves as long as it lives, fixed by its first snapshot; empty before it. */
  get shard(): string {
    return this.#shard;
  }

  /** Highest leadership term that was seen in any snapshot, refused ones included. */
  get highestTerm(): bigint {
    return this.#highestTerm;
  }

  /** Whether the snapshot in force outlives a restart of the container. */
  get isStored(): boolean {
    return this.#onDisk !== undefined;
  }

  /**
   * Takes a message that was loaded from disk as in force; the data plane is created with it, the floor table has
   * taken up what was stored beside it.
   */
  restore(message: Snapshot): CompiledSnapshot {
    const compiled = this.#deps.compile(message);
    this.#inForce = {
      compiled,
      bytes: toBinary(SnapshotSchema, message),
      answer: () => {},
      superseded: new AbortController(),
    };
    this.#shard = compiled.shard;
    this.#highestTerm = compiled.id.term;
    this.#onDisk = contentKey(compiled.id, this.#deps.floors.toJSON());
    return compiled;
  }

  /** Judges a snapshot at once; one that is sound comes into force in its turn. `answer` is called at most once. */
  offer(message: Snapshot, answer: AnswerSnapshot): void {
    if (message.id !== undefined && message.id.term > this.#highestTerm) this.#highestTerm = message.id.term;
    let compiled: CompiledSnapshot;
    try {
      compiled = this.#deps.compile(message);
    } catch (error) {
      answer({ id: message.id, failure: toCtrlmeshError(error, "SNAPSHOT_INVALID") });
      return;
    }
    const bytes = toBinary(SnapshotSchema, message);
    const newest = this.#next ?? this.#applying ?? this.#inForce;
    const failure = this.#refusal(compiled, bytes, newest);
    if (failure !== undefined) {
      answer({ id: compiled.id, failure });
      return;
    }
    this.#shard = compiled.shard;
    if (
      newest !== undefined &&
      newest !== this.#inForce &&
      compareSnapshotIds(compiled.id, newest.compiled.id) === 0
    ) {
      newest.answer = answer;
      return;
    }
    // The snapshot in force, sent again, keeps its identity, so that the data plane sees no change.
    const same = newest !== undefined && compareSnapshotIds(compiled.id, newest.compiled.id) === 0;
    this.#next = {
      compiled: same ? newest.compiled : compiled,
      bytes,
      answer,
      superseded: new AbortController(),
    };
    this.#applying?.superseded.abort(new Error("a newer snapshot came"));
    this.#start();
  }

  /** Call it when a floor has become known: the table is stored within a second, many at once. */
  floorsChanged(): void {
    this.#floorTimer ??= this.#deps.clock.timer(floorDelayMs, () => {
      this.#floorTimer = undefined;
      this.#floorsDue = true;
      this.#start();
    });
  }

  /** Resolves when nothing waits or is applied. */
  async settled(): Promise<void> {
    while (this.#loop !== undefined) await this.#loop;
  }

  /** Ends the wait for acks; what is in force stays, a write to disk that began is finished. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    this.#next = undefined;
    this.#floorTimer?.[Symbol.dispose]();
    this.#applying?.superseded.abort(new Error("the proxy ends"));
    await this.settled();
  }

  #refusal(
    compiled: CompiledSnapshot,
    bytes: Uint8Array,
    newest: Candidate | undefined,
  ): CtrlmeshError | undefined {
    const { id, shard } = compiled;
    const known = newest?.compiled.id;
    if (id.term < this.#highestTerm || (known !== undefined && compareSnapshotIds(id, known) < 0)) {
      return new CtrlmeshError("SNAPSHOT_OLDER", {
        what: `term ${id.term}, revision ${id.revision} is older than what this proxy knows`,
        hint: `term ${this.#highestTerm}${known === undefined ? "" : `, revision ${known.revision}`} was seen`,
      });
    }
    if (
      newest !== undefined &&
      known !== undefined &&
      compareSnapshotIds(id, known) === 0 &&
      !isSame(bytes, newest.bytes)
    ) {
      return new CtrlmeshError("SNAPSHOT_INVALID", {
        what: `term ${id.term}, revision ${id.revision} was sent before with another content`,
        hint: "a change needs a new revision",
      });
    }
    if (shard !== this.#shard && this.#shard !== "") {
      return new CtrlmeshError("SNAPSHOT_OTHER_SHARD", {
        what: `the snapshot is for shard ${shard}, this pod serves ${this.#shard}`,
        hint: "a pod's shard never changes while it runs: replace the pod",
      });
    }
    return undefined;
  }

  #start(): void {
    if (this.#stopped) return;
    this.#loop ??= this.#run();
  }

  async #run(): Promise<void> {
    for (;;) {
      const candidate = this.#next;
      if (candidate !== undefined) {
        this.#next = undefined;
        this.#applying = candidate;
        await this.#apply(candidate);
        this.#applying = undefined;
      } else if (this.#floorsDue) {
        this.#floorsDue = false;
        await this.#storeFloors();
      } else {
        // In the same turn as the look at what waits, so that nothing can be queued in between and be forgotten.
        this.#loop = undefined;
        return;
      }
    }
  }

  async #apply(candidate: Candidate): Promise<void> {
    const { dataPlane, clock, log } = this.#deps;
    const { compiled, superseded } = candidate;
    const { id, shard } = compiled;
    const facts = { term: id.term, revision: id.revision, shard };
    const startMs = clock.monotonicMs();
    try {
      await this.#store(candidate);
      // Also when a newer one has come meanwhile: else a storm that is faster than the disk would keep all of
      // them out, fences included.
      this.#inForce = candidate;
      await dataPlane.switchTo(compiled, superseded.signal);
      log.info("snapshot in force", {
        ...facts,
        granted: compiled.granted,
        durationMs: clock.monotonicMs() - startMs,
      });
      candidate.answer({ id, failure: undefined });
      this.#floorsDue = true;
    } catch (error) {
      if (superseded.signal.aborted) {
        log.debug("snapshot without an ack, a newer one came before it", facts);
        return;
      }
      const failure = toCtrlmeshError(error);
      log.error("snapshot not acknowledged", { ...facts, error: failure });
      candidate.answer({ id, failure });
    }
  }

  async #store({ compiled, bytes }: Candidate): Promise<void> {
    if (this.#onDisk !== undefined && this.#inForce?.compiled === compiled) return;
    this.#onDisk = undefined;
    // The floors are read anew under it; what was limited before it stays so.
    const floors = { ...this.#deps.floors.toJSON(), floors: [] };
    const outcome = await this.#deps.file.store({ snapshot: bytes, floors });
    if (outcome === "stored") this.#onDisk = contentKey(compiled.id, floors);
  }

  async #storeFloors(): Promise<void> {
    const inForce = this.#inForce;
    if (inForce === undefined) return;
    const floors = this.#deps.floors.toJSON();
    const key = contentKey(inForce.compiled.id, floors);
    if (key === this.#onDisk) return;
    this.#onDisk = undefined;
    try {
      const outcome = await this.#deps.file.store({ snapshot: inForce.bytes, floors });
      if (outcome === "stored") this.#onDisk = key;
    } catch (error) {
      // The file still holds this very snapshot with fewer floors: a restart reads the missing ones anew.
      this.#deps.log.warn("floors not stored", { error });
    }
  }
}

function contentKey(id: SnapshotId, floors: FloorsOnDisk): string {
  return `${id.term}.${id.revision} ${JSON.stringify(floors)}`;
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
