import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { eventually } from "../../flow/eventually.ts";
import { isAlive, type ProcessIdentity } from "../process-identity.ts";
import { probeArchive, probeImage } from "./probe-pods.ts";
import { type ClusterRecord, clusterDirectory, readRecord } from "./record.ts";
import { tracesOf } from "./traces.ts";

/** Whatever is killed, and whenever: the next command leaves nothing of it. */

const main = fileURLToPath(new URL("../main.ts", import.meta.url));
const seed = Number(process.env.CTRLMESH_SEED ?? Math.floor(Math.random() * 2 ** 31));

async function cluster(...args: readonly string[]): Promise<string> {
  const child = spawn(process.execPath, [main, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
  assert.equal(child.exitCode, 0, `${args.join(" ")}: ${stderr}`);
  return stdout;
}

/** Kills `up` as soon as a condition on its record holds, or after it has ended. */
async function killUp(
  name: string,
  when: (record: ClusterRecord | undefined) => boolean,
): Promise<ClusterRecord> {
  const child = spawn(process.execPath, [main, "up", name], { stdio: "ignore" });
  const ended = once(child, "close");
  let last: ClusterRecord | undefined;
  await eventually(
    "the moment to kill",
    () => {
      last = readRecord(name) ?? last;
      return child.exitCode !== null || (last !== undefined && when(last));
    },
    { withinMs: 120_000 },
  );
  child.kill("SIGKILL");
  await ended;
  const record = readRecord(name) ?? last;
  assert.ok(record !== undefined);
  return record;
}

interface Evaluated extends AsyncDisposable {
  /** The first that it prints. */
  readonly said: Promise<string>;
  kill(): Promise<void>;
}

/** Runs a module's text as a process of its own. */
function evaluate(script: string): Evaluated {
  const child = spawn(process.execPath, ["--input-type=module", "--eval", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  const { stdout } = child;
  assert.ok(stdout !== null);
  const said = Promise.race([
    once(stdout, "data").then(([chunk]) => String(chunk)),
    ended.then(() => assert.fail("it ended without a word")),
  ]);
  const kill = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
  };
  return { said, kill, [Symbol.asyncDispose]: kill };
}

const moments: readonly (readonly [what: string, when: (record: ClusterRecord | undefined) => boolean])[] = [
  ["its record is written", (record) => record !== undefined],
  ["its namespaces are made", (record) => record?.init !== undefined],
  ["its API server runs", (record) => record?.parts["kube-apiserver"] !== undefined],
  ["its node may run pods", (record) => record?.parts["kube-proxy"] !== undefined],
];

for (const [index, [what, when]] of moments.entries()) {
  test(`crash: nothing is left of a cluster whose starter is killed when ${what}`, async () => {
    const name = `crash-${index}`;
    const record = await killUp(name, when);
    await cluster("list");
    assert.deepEqual(tracesOf(record), []);
  });
}

test(`crash: nothing is left of a cluster whose starter is killed at any time (CTRLMESH_SEED=${seed})`, async () => {
  const killAtMs = performance.now() + (seed % 15_000);
  const record = await killUp("crash-any", () => performance.now() > killAtMs);
  await cluster("list");
  // It may have been ready before.
  if (record.owner === undefined) await cluster("down", record.name);
  assert.deepEqual(tracesOf(record), []);
});

test("crash: namespaces that are not written down yet end with their starter", async () => {
  const folder = mkdtempSync(join(tmpdir(), "ctrlmesh-init-"));
  const script = `
    import { startInit } from ${JSON.stringify(new URL("namespaces.ts", import.meta.url).href)};
    import { pauseProgram } from ${JSON.stringify(new URL("images.ts", import.meta.url).href)};
    const init = await startInit(pauseProgram(), ${JSON.stringify(join(folder, "init.log"))});
    process.stdout.write(JSON.stringify(init.identity));
    setInterval(() => init, 1000);`;
  await using starter = evaluate(script);
  const init = JSON.parse(await starter.said) as ProcessIdentity;
  assert.equal(isAlive(init), true);
  await starter.kill();
  await eventually("their end", () => !isAlive(init));
  rmSync(folder, { recursive: true });
});

test("crash: nothing is left of the cluster of a test whose process is killed", async () => {
  const name = "crash-test";
  const module = new URL("node-cluster.ts", import.meta.url).href;
  const script = `
    import { startNodeCluster } from ${JSON.stringify(module)};
    await startNodeCluster({ name: ${JSON.stringify(name)} });
    process.stdout.write("ready");
    setInterval(() => undefined, 1000);`;
  await using owner = evaluate(script);
  await owner.said;
  await cluster("load", name, probeArchive());
  await cluster("kubectl", name, "--", "run", "x", `--image=${probeImage}`, "--", "serve", "x");
  await cluster("kubectl", name, "--", "wait", "pod/x", "--for=condition=Ready", "--timeout=60s");
  const record = readRecord(name);
  assert.ok(record !== undefined);
  await owner.kill();
  await eventually("all its processes end with it", () =>
    tracesOf(record).every((each) => each.startsWith("/")),
  );
  await cluster("list");
  assert.deepEqual(tracesOf(record), []);
});

test("crash: a cluster whose processes are all killed keeps its state, boots again, and goes without a trace", async () => {
  const name = "crash-all";
  await cluster("up", name);
  const record = readRecord(name);
  assert.ok(record?.init !== undefined);
  await cluster("load", name, probeArchive());
  await cluster("kubectl", name, "--", "create", "configmap", "kept", "--from-literal=a=b");
  process.kill(record.init.pid, "SIGKILL");
  assert.match(await cluster("list"), new RegExp(`^${name} \\S+ stopped `, "m"));
  assert.deepEqual(tracesOf(record), [clusterDirectory(name)]);
  await cluster("up", name);
  await cluster("kubectl", name, "--", "get", "configmap", "kept");
  await cluster("down", name);
  assert.deepEqual(tracesOf(record), []);
});
