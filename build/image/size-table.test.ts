import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { root } from "../bundle.ts";
import { file, link } from "./image-file.ts";
import { sizeRows, withSizeTable } from "./size-table.ts";

test("size table: each layer with what it holds, then what a node stores and pulls", () => {
  const layers = [{ about: "Node.js", files: [file("/a", Buffer.alloc(1_250_000)), link("/b", "a")] }];
  const rows = sizeRows(layers, { bytesOnDisk: 2_000_000, compressedBytes: 900_000 });
  assert.deepEqual(rows, [
    ["Node.js (1 files)", "1.3 MB"],
    ["all on a node's disk", "2.0 MB"],
    ["to pull", "0.9 MB"],
  ]);
});

test("size table: the page of the docs has its place, and nothing else of it changes", () => {
  const page = readFileSync(join(root, "docs/install.md"), "utf8");
  const written = withSizeTable(page, [["all", "1.0 MB"]]);
  assert.match(written, /\| all \| 1\.0 MB \|/);
  assert.equal(withSizeTable(written, [["all", "1.0 MB"]]), written);
  assert.throws(() => withSizeTable("a page", []), /no place/);
});
