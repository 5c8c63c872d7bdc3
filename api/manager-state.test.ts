import assert from "node:assert/strict";
import { test } from "node:test";
import { parseManagerState } from "./manager-state.ts";
import { badManagerStates } from "./testdata/bad-states.ts";
import { testRefusals } from "./testdata/test-refusals.ts";

testRefusals("parseManagerState", parseManagerState, badManagerStates);

test("parseManagerState: an object without status, as the original creates it, is accepted", () => {
  const { spec, status } = parseManagerState({ metadata: { name: "ctrlmesh-manager" }, spec: {} });
  assert.deepEqual({ spec, status }, { spec: {}, status: undefined });
});
