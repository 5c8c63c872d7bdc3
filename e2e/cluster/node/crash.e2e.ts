import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { eventually } from "../../flow/eventually.ts";
import { probeArchive } from "./probe-pods.ts";
import { type ClusterRecord, readRecord } from "./record.ts";
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

test("crash: a cluster whose processes are all killed keeps its state, boots again, and goes without a trace", async () => {
  const name = "crash-all";
  await cluster("up", name);
  const record = readRecord(name);
  assert.ok(record?.init !== undefined);
  await cluster("load", name, probeArchive());
  await cluster("kubectl", name, "--", "create", "configmap", "kept", "--from-literal=a=b");
  process.kill(record.init.pid, "SIGKILL");
  assert.match(await cluster("list"), new RegExp(`^${name} \\S+ stopped `, "m"));
  assert.equal(tracesOf(record).length, 1, "its folder");
  await cluster("up", name);
  await cluster("kubectl", name, "--", "get", "configmap", "kept");
  await cluster("down", name);
  assert.deepEqual(tracesOf(record), []);
});
