import assert from "node:assert/strict";
import { test } from "node:test";
import { trendOf } from "./trend.ts";

const line = (count: number, valueAt: (hours: number, index: number) => number) =>
  Array.from({ length: count }, (_, index) => ({
    hours: index / 100,
    value: valueAt(index / 100, index),
  }));

test("trend: a straight line has its own slope and no doubt", () => {
  const { perHour, lowerPerHour, upperPerHour, spanHours } = trendOf(line(20, (hours) => 3 + 2 * hours));
  for (const slope of [perHour, lowerPerHour, upperPerHour]) assert.ok(Math.abs(slope - 2) < 1e-9);
  assert.equal(spanHours, 0.19);
});

test("trend: a fifth of the points far off does not move it", () => {
  const points = line(500, (hours, index) => 2 * hours + (index % 5 === 0 ? 100 : 0));
  assert.ok(Math.abs(trendOf(points).perHour - 2) < 0.1);
});

test("trend: bounds of noise without a slope hold 0 between them", () => {
  const { lowerPerHour, upperPerHour } = trendOf(line(500, (_, index) => (index * 7919) % 101));
  assert.ok(lowerPerHour < 0 && upperPerHour > 0, `${lowerPerHour} .. ${upperPerHour}`);
});

test("trend: nothing and one point have no slope", () => {
  assert.equal(trendOf([]).perHour, 0);
  assert.equal(trendOf([{ hours: 1, value: 5 }]).upperPerHour, 0);
});
