import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { plotsOf } from "./charts.ts";
import { type StoredRun, withResults } from "./performance-page.ts";

const docs = fileURLToPath(new URL("../docs", import.meta.url));
const read = (path: string): string => readFileSync(`${docs}/${path}`, "utf8");

test("performance page: tables and plots are those of the stored run", () => {
  const run: StoredRun = JSON.parse(read("performance/results.json"));
  const plots = plotsOf(run.rows);
  assert.ok(plots.length > 0);
  assert.equal(withResults(read("performance.md"), run, plots), read("performance.md"));
  for (const { file, svg } of plots) assert.equal(read(`performance/${file}`), svg, file);
});

test("performance page: what is written by hand stays", () => {
  const run: StoredRun = {
    date: "2026-01-02",
    machine: "a machine",
    repetitions: 5,
    measuredSeconds: 3,
    rows: [],
    leftOut: ["nginx is not installed"],
  };
  const page = read("performance.md");
  const changed = withResults(page, run, []);
  assert.ok(changed.includes("Run of 2026-01-02 on a machine"));
  assert.ok(changed.includes("- nginx is not installed"));
  const [head = ""] = page.split("<!-- results");
  const tail = page.slice(page.indexOf("<!-- end of the results"));
  assert.ok(head !== "" && changed.startsWith(head) && changed.endsWith(tail));
  assert.throws(() => withResults("# no marks", run, []), /lacks the marks/);
  assert.ok(existsSync(`${docs}/performance`));
});
