import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { CtrlmeshError, type ErrorCode } from "#api/errors";
import { silentLog } from "#runtime/log";
import { type DurableFiles, durableFiles } from "./durable-files.ts";
import { SnapshotFile, type StoredSnapshot } from "./snapshot-file.ts";

async function folder() {
  const path = await mkdtemp(join(tmpdir(), "ctrlmesh-snapshot-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

function fileIn(stateDirectory: string, { podUid = "uid-1", files = durableFiles } = {}): SnapshotFile {
  return new SnapshotFile({ stateDirectory, podUid, files, log: silentLog });
}

function stored(text: string, resourceVersion = "41"): StoredSnapshot {
  return {
    snapshot: Buffer.from(text),
    floors: {
      floors: [
        { group: "", resource: "configmaps", selector: "a=b", resourceVersion },
        { group: "apps", resource: "deployments", namespace: "a", selector: "a=b", resourceVersion },
      ],
    },
  };
}

test("snapshot file: what was stored is loaded again, floors included, readable by its owner alone", async () => {
  await using state = await folder();
  const directory = join(state.path, "made-on-demand");
  assert.equal(await fileIn(directory).store(stored("snapshot")), "stored");
  assert.deepEqual(await fileIn(directory).load(), stored("snapshot"));
  assert.equal((await stat(fileIn(directory).path)).mode & 0o777, 0o600);
  assert.deepEqual(await readdir(directory), ["snapshot"], "no temporary file is left");
});

test("snapshot file: a missing file is no snapshot and no error", async () => {
  await using state = await folder();
  assert.equal(await fileIn(state.path).load(), undefined);
  assert.equal(await fileIn(join(state.path, "nowhere")).load(), undefined);
});

test("snapshot file: that of another pod is ignored", async () => {
  await using state = await folder();
  await fileIn(state.path, { podUid: "uid-1" }).store(stored("snapshot"));
  assert.equal(await fileIn(state.path, { podUid: "uid-2" }).load(), undefined);
});

test("D15: a half-written temporary file of a killed process neither counts nor stands in the way", async () => {
  await using state = await folder();
  await fileIn(state.path).store(stored("first"));
  await writeFile(`${fileIn(state.path).path}.next`, "ctrlmesh-snap", { mode: 0o400 });
  assert.deepEqual(await fileIn(state.path).load(), stored("first"));
  assert.equal(await fileIn(state.path).store(stored("second")), "stored");
  assert.deepEqual(await fileIn(state.path).load(), stored("second"));
});

const damages: readonly [
  title: string,
  damage: (content: Buffer) => Buffer,
  code: ErrorCode,
  message: RegExp,
][] = [
  ["one flipped bit", (content) => flip(content), "SNAPSHOT_FILE_CORRUPT", /checksum does not match/],
  ["a cut end", (content) => content.subarray(0, -9), "SNAPSHOT_FILE_CORRUPT", /checksum does not match/],
  ["an empty file", () => Buffer.alloc(0), "SNAPSHOT_FILE_CORRUPT", /first line is none of ours/],
  [
    "another program's file",
    () => Buffer.from("[x]\ny=1\n"),
    "SNAPSHOT_FILE_CORRUPT",
    /first line is none of ours/,
  ],
  [
    "a later format",
    (content) => Buffer.from(content.toString().replace("ctrlmesh-snapshot 1", "ctrlmesh-snapshot 2")),
    "SNAPSHOT_FILE_CORRUPT",
    /format version 2 is not known/,
  ],
];

function flip(content: Buffer): Buffer {
  const flipped = Buffer.from(content);
  flipped[flipped.length - 5] = (flipped[flipped.length - 5] ?? 0) ^ 1;
  return flipped;
}

for (const [title, damage, code, message] of damages) {
  test(`snapshot file: ${title} is refused with what is wrong, and the next store heals it`, async () => {
    await using state = await folder();
    const file = fileIn(state.path);
    await file.store(stored("snapshot"));
    await writeFile(file.path, damage(await readFile(file.path)));
    await assert.rejects(file.load(), (error) => {
      assert.ok(error instanceof CtrlmeshError);
      assert.equal(error.code, code);
      assert.match(error.message, message);
      return true;
    });
    await file.store(stored("healed"));
    assert.deepEqual(await file.load(), stored("healed"));
  });
}

test("snapshot file: a folder in its place is unreadable, and storing says that nothing could be done", async () => {
  await using state = await folder();
  const file = fileIn(state.path);
  await mkdir(join(file.path, "child"), { recursive: true });
  await assert.rejects(file.load(), { code: "FILE_UNREADABLE" });
  await assert.rejects(file.store(stored("x")), { code: "SNAPSHOT_NOT_STORED" });
});

/** The volume is full: nothing can be written, files can be removed. */
const fullVolume: DurableFiles = {
  ...durableFiles,
  replace: () => Promise.reject(Object.assign(new Error("no space left on device"), { code: "ENOSPC" })),
};

test("snapshot file: on a full volume the older snapshot is removed, so that a restart begins with nothing", async () => {
  await using state = await folder();
  await fileIn(state.path).store(stored("before the revoke"));
  assert.equal(
    await fileIn(state.path, { files: fullVolume }).store(stored("after the revoke")),
    "forgotten",
  );
  assert.equal(await fileIn(state.path).load(), undefined);
});

test("snapshot file: when the older one cannot be removed either, storing fails", async () => {
  await using state = await folder();
  await fileIn(state.path).store(stored("before"));
  const stuck: DurableFiles = {
    ...fullVolume,
    remove: () => Promise.reject(Object.assign(new Error("input/output error"), { code: "EIO" })),
  };
  await assert.rejects(fileIn(state.path, { files: stuck }).store(stored("after")), {
    code: "SNAPSHOT_NOT_STORED",
  });
  assert.deepEqual(await fileIn(state.path).load(), stored("before"));
});

/** The case itself runs above on an injected volume everywhere; this one adds a real file system where it may. */
test("snapshot file: a volume that is really full (tmpfs of 64 KiB, as root)", async (context) => {
  await using state = await folder();
  const mount = spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", state.path], {
    encoding: "utf8",
  });
  if (mount.status !== 0) return context.skip("mounting needs root; covered by the injected full volume");
  try {
    const file = fileIn(state.path);
    assert.equal(await file.store(stored("before the revoke")), "stored");
    assert.equal(await file.store(stored("x".repeat(200_000))), "forgotten");
    assert.deepEqual(
      await readdir(state.path),
      [],
      "neither the older snapshot nor half of the newer one is left",
    );
    assert.equal(await file.load(), undefined);
    assert.equal(await file.store(stored("there is room again")), "stored");
  } finally {
    execFileSync("umount", [state.path]);
  }
});
