import assert from "node:assert/strict";
import { test } from "node:test";
import { parseFaultInjection } from "./fault-injection.ts";
import { badFaultInjections } from "./testdata/bad-policies.ts";
import { testRefusals } from "./testdata/test-refusals.ts";

testRefusals("parseFaultInjection", parseFaultInjection, badFaultInjections);

const fault = (abort: unknown): unknown => ({
  metadata: { name: "flaky" },
  spec: { httpFault: [{ match: { resources: [{}] }, abort }] },
});

test("D27: a percent that is missing reads as 0, which means never", () => {
  const { spec } = parseFaultInjection(fault({ httpStatus: 409 }));
  assert.equal(spec?.httpFault?.[0]?.abort?.percent, "0");
});

test("parseFaultInjection: every way to write a share from 0 to 100 is accepted", () => {
  for (const percent of ["0", "0.0", "25", "099.9", "100", "100.0", ".5", "1."])
    assert.doesNotThrow(() => parseFaultInjection(fault({ httpStatus: 409, percent })), percent);
});
