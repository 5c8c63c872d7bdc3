import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

test("docs/architecture.md: every file that it names exists", () => {
  const files = globSync("{api,runtime,kube,proxy,manager,webhook,devcluster,cli,e2e}/**/*.ts", {
    cwd: root,
  });
  const names = new Set(files.map((file) => basename(file)));
  const text = readFileSync(join(root, "docs/architecture.md"), "utf8");
  const missing = [...text.matchAll(/`([a-z0-9/.-]+\.ts)`/g)]
    .map((match) => match[1] ?? "")
    .filter((name) => (name.includes("/") ? !files.some((file) => file.endsWith(name)) : !names.has(name)));
  assert.deepEqual(missing, []);
});
