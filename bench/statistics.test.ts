import assert from "node:assert/strict";
import { test } from "node:test";
import { pairedRatios, spreadOf } from "./statistics.ts";

test("statistics: the median is the middle value, or the mean of the middle two", () => {
  assert.deepEqual(spreadOf([3, 1, 2]), { min: 1, median: 2, max: 3 });
  assert.deepEqual(spreadOf([10, 1, 4, 2]), { min: 1, median: 3, max: 10 });
  assert.ok(Number.isNaN(spreadOf([]).median));
});

test("statistics: values are divided by those of their own repetition, and a gap drops the pair alone", () => {
  assert.deepEqual(pairedRatios([2, 8, 3], [1, 2, 3]), [2, 4, 1]);
  assert.deepEqual(pairedRatios([2, undefined, 3], [1, 2, undefined]), [2]);
});
