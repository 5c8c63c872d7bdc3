import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { root } from "../bundle.ts";
import { imageRun } from "./image.ts";

test("Dockerfile: containers start as in the image that is built without an engine", () => {
  const text = readFileSync(join(root, "Dockerfile"), "utf8");
  const last = text.slice(text.lastIndexOf("\nFROM "));
  const instruction = (name: string) => new RegExp(`^${name} (.*)$`, "m").exec(last)?.[1] ?? "";
  assert.deepEqual(JSON.parse(instruction("ENTRYPOINT")), imageRun.entrypoint);
  assert.equal(instruction("USER"), imageRun.user);
  assert.deepEqual(
    instruction("ENV").split(" "),
    Object.entries(imageRun.environment).map(([name, value]) => `${name}=${value}`),
  );
});
