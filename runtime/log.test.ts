import assert from "node:assert/strict";
import { test } from "node:test";
import { CtrlmeshError } from "#api/errors";
import { FakeClock } from "./fake-clock.ts";
import { createLog, type LogFormat, type LogLevel, standardErrorWriter } from "./log.ts";

function recording(format: LogFormat = "json", level: LogLevel = "debug") {
  const lines: string[] = [];
  const log = createLog({
    level,
    format,
    part: "proxy",
    clock: new FakeClock(0),
    write: (line) => lines.push(line),
  });
  return { log, lines };
}

test("log: a JSON line holds time, level, part, message and the fields, and ends with a newline", () => {
  const { log, lines } = recording();
  log.info("snapshot in force", { revision: 7n, shard: "a" });
  assert.equal(lines.length, 1);
  assert.ok(lines[0]?.endsWith("}\n"));
  assert.deepEqual(JSON.parse(lines[0] ?? ""), {
    time: "1970-01-01T00:00:00.000Z",
    level: "info",
    part: "proxy",
    message: "snapshot in force",
    revision: "7",
    shard: "a",
  });
});

test("log: lines below the level are not written", () => {
  const { log, lines } = recording("json", "warn");
  log.debug("a");
  log.info("b");
  log.warn("c");
  assert.equal(lines.length, 1);
});

test("log: fields named like secrets are hidden at every depth, names that only contain the word are not", () => {
  const { log, lines } = recording();
  log.info("dial", {
    token: "t0p",
    headers: { Authorization: "Bearer t0p", accept: "x" },
    apiKey: "t0p",
    client_secret: "t0p",
    tokenFile: "/run/token",
    monkey: "t0p",
  });
  const line = JSON.parse(lines[0] ?? "");
  assert.equal(line.tokenFile, "/run/token");
  assert.deepEqual(line.headers, { Authorization: "[redacted]", accept: "x" });
  // "monkey" ends in "key": hidden too, since hiding too much is the safe side.
  assert.ok(!lines[0]?.includes("t0p"));
});

test("log: an error becomes code, message and its chain of causes, without the stack", () => {
  const { log, lines } = recording();
  const refused = Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });
  log.error("dial failed", {
    error: new CtrlmeshError("CONTROL_STREAM_FAILED", { what: "no answer", where: "m:8071", cause: refused }),
  });
  assert.deepEqual(JSON.parse(lines[0] ?? "").error, {
    message: "m:8071: no answer",
    code: "CONTROL_STREAM_FAILED",
    cause: { message: "connect ECONNREFUSED", code: "ECONNREFUSED" },
  });
});

test("log: an error without a code keeps its stack", () => {
  const { log, lines } = recording();
  log.error("unexpected", { error: new TypeError("x is undefined") });
  assert.match(JSON.parse(lines[0] ?? "").error.stack, /log\.test\.ts/);
});

test("log: circular, deep, long and binary values stay bounded", () => {
  const { log, lines } = recording();
  const circle: Record<string, unknown> = { name: "c" };
  circle.self = circle;
  log.info("x", { circle, long: "y".repeat(100_000), bytes: Buffer.alloc(9), many: new Array(9999).fill(1) });
  assert.ok((lines[0]?.length ?? 0) < 10_000);
  assert.equal(JSON.parse(lines[0] ?? "").bytes, "[9 bytes]");
});

test("log: a field cannot take the place of the line's own time, level or message", () => {
  const { log, lines } = recording();
  log.warn("real", { level: "debug", message: "forged" });
  const line = JSON.parse(lines[0] ?? "");
  assert.deepEqual([line.level, line.message], ["warn", "real"]);
});

test("log: text lines quote what is not a plain word, so that no value can begin a line of its own", () => {
  const { log, lines } = recording("text");
  log.child({ shard: "a" }).info("up", { reason: "two words\nand more" });
  assert.equal(lines[0], '1970-01-01T00:00:00.000Z INFO  proxy: up shard=a reason="two words\\nand more"\n');
});

test("log: a writer that fails never throws, and the next line says how many were dropped", () => {
  let full = true;
  const written: string[] = [];
  const write = standardErrorWriter((text) => {
    if (full) throw Object.assign(new Error("no space left"), { code: "ENOSPC" });
    written.push(text);
  });
  write("one\n");
  write("two\n");
  full = false;
  write("three\n");
  assert.deepEqual(written, ['{"level":"warn","message":"log lines dropped","count":2}\nthree\n']);
});
