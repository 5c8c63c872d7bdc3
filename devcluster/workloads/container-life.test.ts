import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "#runtime/clock";
import { ContainerLife } from "./container-life.ts";

const folder = mkdtempSync(join(tmpdir(), "ctrlmesh-container-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

function life(
  script: string,
  restartPolicy: "Always" | "OnFailure" | "Never",
  onChange?: (self: ContainerLife) => void,
) {
  const made: ContainerLife = new ContainerLife({
    name: "c",
    command: async () => ({
      argv: [process.execPath, "-e", script],
      environment: {},
      logFile: join(folder, "c.log"),
    }),
    restartPolicy,
    clock: systemClock,
    changed: () => onChange?.(made),
  });
  return made;
}

test("ContainerLife: policy Never ends with the exit code and keeps the log", async () => {
  const one = life("console.log('hello'); process.exit(3)", "Never");
  assert.equal(await one.run(), 3);
  assert.equal(one.lastTermination?.exitCode, 3);
  assert.match(readFileSync(join(folder, "c.log"), "utf8"), /hello/);
});

test("ContainerLife: policy OnFailure starts again until it succeeds", async () => {
  const file = join(folder, "count");
  const script = `const fs=require('fs');const n=fs.existsSync('${file}')?+fs.readFileSync('${file}','utf8'):0;fs.writeFileSync('${file}',String(n+1));process.exit(n<2?1:0)`;
  const one = life(script, "OnFailure");
  assert.equal(await one.run(), 0);
  assert.equal(one.restartCount, 2);
});

test("ContainerLife: a killed process counts as terminated by the signal and comes back", async () => {
  const starts: number[] = [];
  const one = life("setInterval(() => {}, 1000)", "Always", (self) => {
    if (!self.isRunning || self.pid === undefined) return;
    starts.push(self.pid);
    if (starts.length === 1) self.kill("SIGKILL");
    else void self.stop(1000);
  });
  await one.run();
  assert.equal(starts.length, 2);
  assert.equal(one.restartCount, 1);
});

test("ContainerLife: stop kills a process that ignores SIGTERM once the grace period is over", async () => {
  const one: ContainerLife = life(
    "process.on('SIGTERM', () => {}); console.log('up'); setInterval(() => {}, 1000)",
    "Always",
  );
  const whole = one.run();
  while (!one.isRunning) await new Promise((resolve) => setImmediate(resolve));
  await one.stop(200);
  await whole;
  assert.ok(one.lastTermination?.exitCode === 137 || one.lastTermination?.exitCode === 143);
});

test("ContainerLife: a program that does not exist is reported, not thrown", async () => {
  const one = new ContainerLife({
    name: "c",
    command: async () => ({ argv: ["/does/not/exist"], environment: {}, logFile: join(folder, "none.log") }),
    restartPolicy: "Never",
    clock: systemClock,
    changed: () => undefined,
  });
  assert.equal(await one.run(), 127);
  assert.match(one.lastTermination?.reason ?? "", /ENOENT/);
});

test("ContainerLife: a process that keeps ending early comes back after the longest pause at most", async () => {
  const waits: string[] = [];
  const one: ContainerLife = new ContainerLife({
    name: "c",
    command: async () => ({
      argv: [process.execPath, "-e", ""],
      environment: {},
      logFile: join(folder, "early.log"),
    }),
    restartPolicy: "Always",
    clock: systemClock,
    changed: () => {
      if ("waiting" in one.state && one.restartCount > 0) waits.push(one.state.waiting.message ?? "");
      if (waits.length === 3) void one.stop(0);
    },
    maxRestartDelayMs: 120,
  });
  await one.run();
  assert.deepEqual(waits, ["starts again in 100 ms", "starts again in 120 ms", "starts again in 120 ms"]);
});
