import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { errorCodes } from "#api/errors";

const root = fileURLToPath(new URL("..", import.meta.url));
const documented = [
  ...readFileSync(join(root, "docs/errors.md"), "utf8").matchAll(/^\| ([A-Z_]+) \| (\d+) \|/gm),
];

test("errors: the table in the code and docs/errors.md list the same codes with the same status", () => {
  const fromDocs = documented.map(([, code, status]) => `${code} ${status}`).sort();
  const fromCode = Object.entries(errorCodes)
    .map(([code, { status }]) => `${code} ${status}`)
    .sort();
  assert.deepEqual(fromDocs, fromCode);
});

test("errors: every code is raised somewhere", () => {
  const sources = globSync("{api,runtime,kube,proxy,manager,webhook,devcluster,cli}/**/*.ts", { cwd: root })
    .filter((file) => !file.endsWith(".test.ts") && file !== "api/errors.ts" && !file.startsWith("api/gen"))
    .map((file) => readFileSync(join(root, file), "utf8"))
    .join("\n");
  const unused = Object.keys(errorCodes).filter((code) => !sources.includes(`"${code}"`));
  assert.deepEqual(unused, []);
});
