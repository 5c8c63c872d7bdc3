import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

test("api/gen: is what the generator makes of api/proto now", () => {
  const folder = mkdtempSync(join(tmpdir(), "ctrlmesh-generated-"));
  try {
    execFileSync("buf", ["generate", "--output", folder], { cwd: root, stdio: "pipe" });
    const path = "api/gen/ctrlmesh/v1/control_pb.ts";
    assert.equal(readFileSync(join(folder, path), "utf8"), readFileSync(join(root, path), "utf8"));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
