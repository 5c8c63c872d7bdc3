import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

test("mounts-preload: a program sees a volume at its mount path through every kind of call", () => {
  const folder = mkdtempSync(join(tmpdir(), "ctrlmesh-mounts-"));
  try {
    mkdirSync(join(folder, "inner"));
    writeFileSync(join(folder, "token"), "secret");
    writeFileSync(join(folder, "inner", "deep"), "deep");
    const script = `
      import { readFileSync, existsSync, createReadStream } from "node:fs";
      import { readFile, writeFile, rename, open } from "node:fs/promises";
      import fs from "node:fs";
      const seen = [readFileSync("/no/such/mount/token", "utf8"), await readFile("/no/such/mount/inner/deep", "utf8")];
      seen.push(String(existsSync("/no/such/mount")), String(existsSync("/no/such/mountain")));
      await writeFile("/no/such/mount/a", "1");
      await rename("/no/such/mount/a", "/no/such/mount/b");
      const handle = await open("/no/such/mount", "r");
      await handle.close();
      seen.push(await new Promise((done) => fs.readFile("/no/such/mount/b", "utf8", (_, text) => done(text))));
      for await (const chunk of createReadStream("/no/such/mount/token")) seen.push(String(chunk));
      console.log(JSON.stringify(seen));`;
    const output = execFileSync(process.execPath, ["--input-type=module", "-e", script], {
      env: {
        NODE_OPTIONS: `--import ${new URL("mounts-preload.ts", import.meta.url).href}`,
        DEVCLUSTER_MOUNTS: JSON.stringify([["/no/such/mount", folder]]),
      },
      encoding: "utf8",
    });
    assert.deepEqual(JSON.parse(output), ["secret", "deep", "true", "false", "1", "secret"]);
    assert.equal(readFileSync(join(folder, "b"), "utf8"), "1");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
