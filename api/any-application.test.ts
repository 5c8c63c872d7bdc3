import assert from "node:assert/strict";
import { test } from "node:test";
import { parseAnyApplication } from "./any-application.ts";
import { badAnyApplications } from "./testdata/bad-states.ts";
import { testRefusals } from "./testdata/test-refusals.ts";

testRefusals("parseAnyApplication", parseAnyApplication, badAnyApplications);

test("parseAnyApplication: fields of other revisions survive reading", () => {
  const spec = { zones: 2, source: { kustomize: { path: "." } }, placement: "later" };
  const status = { ownership: { owner: "zone1", epoch: 1, state: "New", priority: 3 } };
  const read = parseAnyApplication({ metadata: { name: "nginx" }, spec, status });
  assert.deepEqual({ spec: read.spec, status: read.status }, { spec, status });
});
