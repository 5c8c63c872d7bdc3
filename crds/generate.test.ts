import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { crdFiles, writeCrds } from "./generate.ts";

const folder = fileURLToPath(new URL(".", import.meta.url));

test("crds: the committed files are what the generator makes of api/ now", () => {
  const files = crdFiles();
  const committed = readdirSync(folder).filter((name) => name.endsWith(".yaml"));
  assert.deepEqual(committed.sort(), [...files.keys()].sort(), "run npm run generate");
  for (const [name, content] of files)
    assert.equal(readFileSync(join(folder, name), "utf8"), content, `${name} is stale: run npm run generate`);
});

test("crds: writing removes the file of a kind that is no more", () => {
  const target = mkdtempSync(join(tmpdir(), "ctrlmesh-crds-"));
  try {
    writeFileSync(join(target, "gone.yaml"), "");
    writeCrds(target);
    assert.deepEqual(readdirSync(target).sort(), [...crdFiles().keys()].sort());
  } finally {
    rmSync(target, { recursive: true, force: true });
  }
});

/** Calls visit for every schema inside a schema, with its path. */
function walk(
  schema: unknown,
  path: string,
  visit: (node: Record<string, unknown>, path: string) => void,
): void {
  if (typeof schema !== "object" || schema === null) return;
  const node: Record<string, unknown> = { ...schema };
  visit(node, path);
  walk(node.items, `${path}[]`, visit);
  walk(node.additionalProperties, `${path}{}`, visit);
  for (const [name, member] of Object.entries(node.properties ?? {})) walk(member, `${path}.${name}`, visit);
}

test("crds: every text, list and map has an upper bound and every field of ours says what it is", () => {
  for (const [name, content] of crdFiles()) {
    walk(parse(content).spec.versions[0].schema.openAPIV3Schema, name, (node, path) => {
      const { type, format } = node;
      if (/\.(apiVersion|kind|metadata)$/.test(path)) return;
      if (type === "string" && format !== "date-time")
        assert.ok(node.maxLength !== undefined || node.enum !== undefined, `${path} has no maxLength`);
      if (type === "array") assert.ok(node.maxItems !== undefined, `${path} has no maxItems`);
      if (type === "integer") assert.ok(node.maximum !== undefined, `${path} has no maximum`);
      if (node.additionalProperties !== undefined)
        assert.ok(node.maxProperties !== undefined, `${path} has no maxProperties`);
      assert.ok(
        typeof node.description === "string" && node.description !== "",
        `${path} has no description`,
      );
    });
  }
});

test("crds: no column asks for several values, of which kubectl would show the first as if it were all", () => {
  for (const [name, content] of crdFiles())
    for (const { jsonPath } of parse(content).spec.versions[0].additionalPrinterColumns)
      assert.ok(!jsonPath.includes("[*]"), `${name}: ${jsonPath}`);
});
