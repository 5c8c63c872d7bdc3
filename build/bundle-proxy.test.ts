import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { version } from "#api/version";

const run = promisify(execFile);
const bundler = fileURLToPath(new URL("bundle-proxy.ts", import.meta.url));

test("bundle: one file that runs far from the tree, with the pod's commands and no other", async () => {
  const folder = await mkdtemp(join(tmpdir(), "ctrlmesh-bundle-"));
  try {
    const bundle = join(folder, "proxy.cjs");
    await run(process.execPath, [bundler, `--outfile=${bundle}`]);
    assert.deepEqual(await readdir(folder), ["proxy.cjs"]);
    const cli = (...argv: string[]) => run(process.execPath, [bundle, ...argv], { cwd: folder });
    assert.equal((await cli("--version")).stdout, `${version}\n`);
    assert.match((await cli("proxy", "--help")).stdout, /--apiserver-port/);
    assert.match((await cli("wait-ready", "--help")).stdout, /wait-ready/);
    assert.match((await cli("init", "--help")).stdout, /ctrlmesh init/);
    await assert.rejects(cli("manager"), /not part of the proxy's bundle/);
  } finally {
    await rm(folder, { recursive: true });
  }
});
