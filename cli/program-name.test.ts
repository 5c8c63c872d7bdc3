import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { programName } from "./program-name.ts";

test("programName: as the user called it", () => {
  assert.equal(programName("/usr/local/bin/ctrlmesh"), "ctrlmesh");
  assert.equal(programName("/home/me/cli/main.ts"), "ctrlmesh");
  assert.equal(programName("/usr/local/bin/kubectl-ctrlmesh"), "kubectl ctrlmesh");
  assert.equal(programName("/usr/local/bin/kubectl-ctrlmesh.cjs"), "kubectl ctrlmesh");
  assert.equal(programName("/usr/local/bin/my-kubectl-ctrlmesh-old"), "ctrlmesh");
});

test("kubectl ctrlmesh: a plugin's usage texts say how kubectl calls it", () => {
  const folder = mkdtempSync(join(tmpdir(), "ctrlmesh-plugin-"));
  try {
    const main = fileURLToPath(new URL("main.ts", import.meta.url));
    const plugin = join(folder, "kubectl-ctrlmesh");
    symlinkSync(main, plugin);
    chmodSync(folder, 0o755);
    const run = (...args: readonly string[]) =>
      spawnSync(process.execPath, [plugin, ...args], { encoding: "utf8" });
    assert.match(run("--help").stdout, /\nUsage: kubectl ctrlmesh COMMAND \[flags\]\n/);
    assert.match(run("explain", "--help").stdout, /^Usage: kubectl ctrlmesh explain KIND\/NAME \[flags\]\n/);
    const wrong = run("chek");
    assert.deepEqual([wrong.status, wrong.stdout], [2, ""]);
    assert.match(wrong.stderr, /INVALID_FLAG: there is no command "chek"; did you mean check\?/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
