import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { lstatSync, mkdtempSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { file, type ImageFile, link, withDirectories } from "./image-file.ts";
import { tar } from "./tar.ts";

const deep = `/usr/${"folder/".repeat(15)}with-a-name-of-its-own`;

test("tar: another implementation unpacks what was packed", () => {
  const folder = mkdtempSync(join(tmpdir(), "ctrlmesh-tar-"));
  try {
    const block = Buffer.alloc(512, 7);
    const entries = withDirectories([
      file("/usr/bin/program", "#!/bin/true\n", true),
      file("/etc/empty", ""),
      file("/etc/block", block),
      file(deep, "deep"),
      link("/lib", "usr/lib"),
    ]);
    execFileSync("tar", ["--extract", "--no-same-owner", "--directory", folder], { input: tar(entries) });
    assert.equal(readFileSync(join(folder, "usr/bin/program"), "utf8"), "#!/bin/true\n");
    assert.equal(lstatSync(join(folder, "usr/bin/program")).mode & 0o777, 0o755);
    assert.equal(readFileSync(join(folder, "etc/empty"), "utf8"), "");
    assert.deepEqual(readFileSync(join(folder, "etc/block")), block);
    assert.equal(readFileSync(join(folder, deep), "utf8"), "deep");
    assert.equal(readlinkSync(join(folder, "lib")), "usr/lib");
    const listed = execFileSync("tar", ["--list", "--verbose", "--numeric-owner", "--utc"], {
      input: tar(entries),
      encoding: "utf8",
    });
    for (const line of listed.trim().split("\n")) assert.match(line, /^\S+ 0\/0 +\d+ 1970-01-01 00:00 /);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("tar: what ustar can't hold is refused, not cut off", () => {
  const long = "x".repeat(101);
  assert.throws(() => tar([file(`/${long}`, "")]), /too long for ustar/);
  assert.throws(() => tar([link("/link", long)]), /too long for ustar/);
});

test("image files: directories stand before what they hold, and nothing is there twice", () => {
  const entries = withDirectories([file("/b/c/d", ""), file("/b-c", ""), link("/a", "b")]);
  assert.deepEqual(
    entries.map(({ path }: ImageFile) => path),
    ["/a", "/b", "/b-c", "/b/c", "/b/c/d"],
  );
  assert.throws(() => withDirectories([file("/a", ""), file("/a", "")]), /two entries of the image are \/a/);
});
