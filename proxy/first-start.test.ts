import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { isFirstStart } from "./first-start.ts";

test("first start: only the first of a pod's processes is the first, whatever else is lost", async () => {
  const directory = await mkdtemp(join(tmpdir(), "first-start-"));
  try {
    const state = join(directory, "state");
    assert.equal(await isFirstStart(state), true, "the folder is made when it is missing");
    assert.equal(await isFirstStart(state), false);
  } finally {
    await rm(directory, { recursive: true });
  }
});

test("first start: where no mark can be left, no start is the first", async () => {
  const directory = await mkdtemp(join(tmpdir(), "first-start-"));
  try {
    const file = join(directory, "no folder");
    await writeFile(file, "");
    assert.equal(await isFirstStart(file), false);
  } finally {
    await rm(directory, { recursive: true });
  }
});
