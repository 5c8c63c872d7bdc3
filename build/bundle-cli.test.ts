import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { version } from "#api/version";

const run = promisify(execFile);
const bundler = fileURLToPath(new URL("bundle-cli.ts", import.meta.url));

test("bundle: the command is one file that works far from the tree under the name of a kubectl plugin", async () => {
  const folder = await mkdtemp(join(tmpdir(), "ctrlmesh-bundle-"));
  try {
    const program = join(folder, "kubectl-ctrlmesh");
    await run(process.execPath, [bundler, `--outfile=${join(folder, "ctrlmesh.cjs")}`]);
    await rename(join(folder, "ctrlmesh.cjs"), program);
    assert.deepEqual(await readdir(folder), ["kubectl-ctrlmesh"]);
    const cli = (...argv: string[]) => run(program, argv, { cwd: folder });
    assert.equal((await cli("--version")).stdout, `${version}\n`);
    assert.match((await cli("manager", "--help")).stdout, /--webhook-port/);
    assert.match((await cli("proxy", "--help")).stdout, /--apiserver-port/);
    await assert.rejects(cli("demo"), /runs from the source tree only/);
    // Loads all that the manager is made of, and fails where it should.
    await assert.rejects(cli("manager", "--kubeconfig=/nowhere"), /\/nowhere/);
  } finally {
    await rm(folder, { recursive: true });
  }
});
