import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { docsOf, findingCodes } from "./finding.ts";

test("findings: each code has a section in the docs, and each section a code", () => {
  const page = readFileSync(new URL("../../../docs/troubleshooting.md", import.meta.url), "utf8");
  const sections = [...page.matchAll(/^## (.+)$/gm)].map(([, heading = ""]) => heading);
  assert.deepEqual([...sections].sort(), [...findingCodes].sort());
  assert.equal(docsOf("WebhookDown"), "docs/troubleshooting.md#webhookdown");
});
