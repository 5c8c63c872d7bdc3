import assert from "node:assert/strict";
import { test } from "node:test";
import { barChart } from "./plot.ts";

const widthsOf = (svg: string): number[] =>
  [...svg.matchAll(/<rect x="[\d.]+" y="\d+" width="([\d.]+)"/g)].map(([, width]) => Number(width));

test("plot: bars of a group are as long as their values, and each group has its own scale", () => {
  const svg = barChart({
    title: "CPU",
    unit: "us",
    groups: [
      {
        name: "get",
        bars: [
          { name: "product", value: 50 },
          { name: "go", value: 100 },
        ],
      },
      { name: "list", bars: [{ name: "go", value: 1 }] },
    ],
  });
  const [product = 0, go = 0, alone = 0] = widthsOf(svg);
  assert.equal(go, product * 2);
  assert.equal(alone, go);
});

test("plot: names can't break the document", () => {
  const svg = barChart({ title: "a < b & c", unit: "ms", groups: [] });
  assert.ok(svg.includes("a &lt; b &amp; c (ms)"));
});
