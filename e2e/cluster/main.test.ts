import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { RunningPlane } from "./background.ts";
import { identify, type ProcessIdentity } from "./process-identity.ts";
import { testedVersions } from "./versions.ts";

const main = fileURLToPath(new URL("main.ts", import.meta.url));

let cache: string;
beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), "ctrlmesh-cluster-cache-"));
});
afterEach(() => rmSync(cache, { recursive: true, force: true }));

async function tool(...args: readonly string[]) {
  const env = { ...process.env, CTRLMESH_CACHE: cache };
  const child = spawn(process.execPath, [main, ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
  return { exitCode: child.exitCode, stdout, stderr };
}

async function sleeper(): Promise<{ child: ChildProcess; identity: ProcessIdentity }> {
  const child = spawn("sleep", ["600"]);
  await once(child, "spawn");
  const identity = identify(child.pid ?? 0);
  assert.ok(identity !== undefined);
  return { child, identity };
}

/** The state file that a start in the background leaves. */
function writeState(owner: ProcessIdentity, parts: readonly ProcessIdentity[]): RunningPlane {
  const directory = join(cache, "plane");
  mkdirSync(directory);
  mkdirSync(join(cache, "running"));
  const kubeconfig = join(directory, "admin.kubeconfig");
  const plane = { version: "1.36.3", urls: ["https://127.0.0.1:1"], kubeconfig, directory, owner, parts };
  writeFileSync(join(cache, "running", `${owner.pid}.json`), JSON.stringify(plane));
  return plane;
}

test("cluster tool: it says what is not built, with exit code 1", async () => {
  const { exitCode, stdout } = await tool("missing", "-o", "json");
  assert.equal(exitCode, 1);
  const { missing } = JSON.parse(stdout) as { missing: string[] };
  assert.equal(missing.length, 1 + 3 * testedVersions.length);
  const one = await tool("missing", "--version", "1.35.4");
  assert.match(one.stdout, /kubernetes-1\.35\.4.*kube-apiserver\n/);
  const nodes = await tool("missing", "--nodes", "--version", "1.35.4");
  for (const part of ["kubelet", "kube-proxy", "kube-scheduler", "coredns", "helm"])
    assert.match(nodes.stdout, new RegExp(`/${part}\n`));
});

test("cluster tool: a version that is not built is refused with the command that builds it", async () => {
  const { exitCode, stderr } = await tool("start", "--version", "1.35.4");
  assert.equal(exitCode, 1);
  assert.match(stderr, /npm run cluster -- build --version 1\.35\.4/);
});

test("cluster tool: a node that can't run here is refused with what is missing", async () => {
  const { exitCode, stderr } = await tool("up");
  assert.equal(exitCode, 1);
  assert.match(stderr, process.getuid?.() === 0 ? /npm run cluster -- build --nodes --version/ : /root/);
  assert.deepEqual(JSON.parse((await tool("list", "-o", "json")).stdout), { running: [], clusters: [] });
});

test("cluster tool: a cluster that does not exist is named, with those that do", async () => {
  const lines = ["stop nobody", "start nobody", "down nobody", "load nobody x.tar"];
  const outputs = await Promise.all(lines.map((line) => tool(...line.split(" "))));
  for (const { stderr } of outputs) assert.match(stderr, /no cluster "nobody"; there is none at all/);
  assert.equal((await tool("down", "--all")).exitCode, 0);
});

test("cluster tool: exit code 2 tells wrong flags, 0 help", async () => {
  assert.equal((await tool("start", "--api-servers=many")).exitCode, 2);
  const help = await tool("--help");
  assert.equal(help.exitCode, 0);
  assert.match(help.stdout, /^Usage: /);
});

test("cluster tool: what a crashed start left running is listed and ended, with its folder", async () => {
  const [owner, part] = await Promise.all([sleeper(), sleeper()]);
  const ownerEnded = once(owner.child, "exit");
  owner.child.kill("SIGKILL");
  await ownerEnded;
  const { directory } = writeState(owner.identity, [part.identity]);
  const ended = once(part.child, "exit");
  const listed = JSON.parse((await tool("list", "-o", "json")).stdout) as { running: RunningPlane[] };
  assert.deepEqual(
    listed.running.map((plane) => plane.directory),
    [directory],
  );
  assert.equal((await tool("stop")).exitCode, 0);
  await ended;
  assert.equal(part.child.signalCode, "SIGKILL");
  assert.equal(existsSync(directory), false);
  assert.deepEqual(JSON.parse((await tool("list", "-o", "json")).stdout), { running: [], clusters: [] });
});

test("cluster tool: a process that got the id of one that has ended is left alone", async () => {
  const { child, identity } = await sleeper();
  const { directory } = writeState({ ...identity, start: "earlier" }, [{ ...identity, start: "earlier" }]);
  const { stdout } = await tool("stop", "-o", "json");
  assert.deepEqual(JSON.parse(stdout), { stopped: [] });
  assert.equal(identify(identity.pid)?.start, identity.start, "it still runs");
  assert.equal(existsSync(directory), false);
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
});
