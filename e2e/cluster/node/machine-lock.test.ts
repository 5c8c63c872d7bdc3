import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { test } from "node:test";
import { withMachineLock } from "./machine-lock.ts";

const source = new URL("machine-lock.ts", import.meta.url).href;

test("machine lock: work under one name is done one at a time, whatever fails", async () => {
  const name = randomUUID();
  let inside = 0;
  let done = 0;
  const work = async (index: number): Promise<void> => {
    assert.equal(++inside, 1);
    await new Promise((resolve) => setImmediate(resolve));
    inside--;
    done++;
    if (index % 3 === 0) throw new Error("on purpose");
  };
  const outcomes = await Promise.allSettled(
    Array.from({ length: 12 }, (_, index) => withMachineLock(name, () => work(index))),
  );
  assert.equal(done, 12);
  assert.equal(outcomes.filter(({ status }) => status === "rejected").length, 4);
});

test("machine lock: other names do not wait", async () => {
  const [outer, inner] = [randomUUID(), randomUUID()];
  assert.equal(await withMachineLock(outer, () => withMachineLock(inner, async () => "both")), "both");
});

test("machine lock: another process waits, and has it as soon as its holder is killed", async () => {
  const name = randomUUID();
  const script = `
    import { withMachineLock } from ${JSON.stringify(source)};
    await withMachineLock(${JSON.stringify(name)}, async () => {
      process.stdout.write("held");
      setInterval(() => undefined, 1000);
      await new Promise(() => undefined);
    });`;
  const holder = spawn(process.execPath, ["--input-type=module", "--eval", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const { stdout } = holder;
  assert.ok(stdout !== null);
  await once(stdout, "data");
  let isHeld = false;
  const waiting = withMachineLock(name, async () => {
    isHeld = true;
  });
  // A second one that does not wait would have run its work by now.
  await withMachineLock(randomUUID(), async () => undefined);
  assert.equal(isHeld, false);
  const ended = once(holder, "exit");
  holder.kill("SIGKILL");
  await ended;
  await waiting;
  assert.equal(isHeld, true);
});
