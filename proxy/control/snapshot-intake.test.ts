import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { Grant, HashFunction, type Snapshot, SnapshotSchema } from "#api/gen/ctrlmesh/v1/control_pb";
import { FakeClock } from "#runtime/fake-clock";
import { silentLog } from "#runtime/log";
import type { DurableFiles } from "../durable-files.ts";
import { type CompiledSnapshot, compileSnapshot } from "../snapshot.ts";
import { SnapshotFile } from "../snapshot-file.ts";
import { type SnapshotAnswer, SnapshotIntake } from "./snapshot-intake.ts";

function snapshot(revision: bigint): Snapshot {
  return create(SnapshotSchema, {
    id: { term: 1n, revision },
    shard: "shard-a",
    grant: Grant.GRANTED,
    hash: HashFunction.MURMUR3,
    limits: [{ groups: [""], resources: ["configmaps"], selector: "s=a" }],
  });
}

/** A disk that finishes a write when the test says so. */
class SlowDisk implements DurableFiles {
  readonly writes: (() => void)[] = [];

  read(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  replace(): Promise<void> {
    return new Promise((resolve) => void this.writes.push(resolve));
  }

  remove(): Promise<void> {
    return Promise.resolve();
  }

  async finishWrite(): Promise<void> {
    this.writes.shift()?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test("intake: a storm of snapshots, each there before the disk has the one before, still brings one after the other into force", async () => {
  const disk = new SlowDisk();
  const inForce: bigint[] = [];
  const answers: SnapshotAnswer[] = [];
  const intake = new SnapshotIntake({
    compile: compileSnapshot,
    dataPlane: {
      switchTo: (next: CompiledSnapshot, signal: AbortSignal) => {
        inForce.push(next.id.revision);
        return signal.aborted ? Promise.reject(signal.reason) : Promise.resolve();
      },
    },
    floors: { toJSON: () => ({ floors: [] }) },
    file: new SnapshotFile({ stateDirectory: "/nowhere", podUid: "uid-1", files: disk, log: silentLog }),
    clock: new FakeClock(),
    log: silentLog,
  });
  for (let revision = 1n; revision <= 4n; revision++) {
    intake.offer(snapshot(revision), (answer) => void answers.push(answer));
    if (revision > 1n) await disk.finishWrite();
  }
  assert.deepEqual(inForce, [1n, 2n, 3n]);
  assert.equal(intake.inForce?.id.revision, 3n);
  await disk.finishWrite();
  await intake.settled();
  assert.deepEqual(inForce, [1n, 2n, 3n, 4n]);
  assert.deepEqual(
    answers.map(({ id, failure }) => [id?.revision, failure]),
    [[4n, undefined]],
    "the newest one is acked",
  );
});
