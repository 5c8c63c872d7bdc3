import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "yaml";
import { parseCircuitBreaker } from "./circuit-breaker.ts";
import { badCircuitBreakers } from "./testdata/bad-policies.ts";
import { testRefusals } from "./testdata/test-refusals.ts";

testRefusals("parseCircuitBreaker", parseCircuitBreaker, badCircuitBreakers);

const breaker = (limit: string): unknown =>
  parse(`
metadata: {name: protect-pods}
spec:
  selector: {matchLabels: {app: op}}
  rateLimitings: [{name: a, ${limit}}]`);

test("D20: a Normal rate limit without recoverPolicy recovers by hand", () => {
  const { spec } = parseCircuitBreaker(
    breaker("bucket: {burst: 5, interval: 10s, limit: 5}, triggerPolicy: Normal"),
  );
  assert.deepEqual(spec.rateLimitings?.[0]?.recoverPolicy, { type: "Manual" });
});

test("parseCircuitBreaker: durations as Go writes them are accepted", () => {
  for (const interval of ["10s", "1m30s", "1.5h", ".5s", "100ms", "1us", "1µs", "2h45m0.5s"])
    assert.doesNotThrow(
      () =>
        parseCircuitBreaker(
          breaker(`bucket: {burst: 1, interval: ${interval}, limit: 1}, triggerPolicy: Normal`),
        ),
      interval,
    );
});
