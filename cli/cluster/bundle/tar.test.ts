import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { tarGz } from "./tar.ts";

test("tarGz: tar reads what was put in, long names and sizes at the edge of a block too", () => {
  const folder = mkdtempSync(join(tmpdir(), "ctrlmesh-tar-"));
  try {
    const long = `bundle/${"n".repeat(60)}/pods/${"p".repeat(63)}/ctrlmesh-proxy.log`;
    const files = [
      { path: "bundle/empty.txt", content: "" },
      { path: "bundle/block.txt", content: "x".repeat(512) },
      { path: "bundle/more.txt", content: `ä${"y".repeat(511)}` },
      { path: long, content: "deep\n" },
    ];
    const archive = join(folder, "a.tar.gz");
    writeFileSync(archive, tarGz(files, new Date("2026-01-01T00:00:00Z")));
    const { status, stderr } = spawnSync("tar", ["xzf", archive, "-C", folder], { encoding: "utf8" });
    assert.deepEqual([status, stderr], [0, ""]);
    for (const { path, content } of files) assert.equal(readFileSync(join(folder, path), "utf8"), content);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
