import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { test } from "node:test";
import { parseElf } from "./elf.ts";
import { librariesOf } from "./libraries.ts";

test("libraries: those of Node are the ones that the loader itself names", () => {
  const loaded = execFileSync("ldd", [process.execPath], { encoding: "utf8" })
    .split("\n")
    .flatMap((line) => /^\s*(\S+)(?: =>.*)? \(0x/.exec(line)?.[1] ?? [])
    .filter((name) => !name.startsWith("linux-vdso"));
  const { files } = librariesOf([readFileSync(process.execPath)], ["/"]);
  assert.deepEqual(
    files.map(({ path }) => basename(path)).sort(),
    loaded.map((name) => basename(name)).sort(),
  );
});

test("libraries: one that is nowhere is named", () => {
  assert.throws(
    () => librariesOf([readFileSync(process.execPath)], ["/nowhere"]),
    /\/usr\/lib.* is not under \/nowhere/,
  );
});

test("ELF: anything else is refused", () => {
  assert.throws(() => parseElf(Buffer.from("#!/usr/bin/env node\n".repeat(10))), /not an ELF file/);
  const big = Buffer.from(readFileSync(process.execPath).subarray(0, 4096));
  big[5] = 2;
  assert.throws(() => parseElf(big), /not an ELF file/);
});
