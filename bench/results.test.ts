import assert from "node:assert/strict";
import { test } from "node:test";
import { rowsOf } from "./results.ts";

test("results: a row is the product beside one peer, with medians and the spread of the ratios", () => {
  const rows = rowsOf(
    "get-1k",
    { cpu: "us/request" },
    new Map([
      ["product", [{ cpu: 10 }, { cpu: 30 }, { cpu: 20 }]],
      ["go", [{ cpu: 20 }, { cpu: 40 }, { cpu: 80 }]],
    ]),
  );
  assert.deepEqual(rows, [
    {
      case: "get-1k",
      metric: "cpu",
      peer: "go",
      product: 20,
      peerValue: 40,
      unit: "us/request",
      ratio: { min: 0.25, median: 0.5, max: 0.75 },
    },
  ]);
});

test("results: a peer without a metric, or that failed each time, has no row of it", () => {
  const samples = new Map([
    ["product", [{ cpu: 1, rate: 1 }]],
    ["direct", [{ rate: 2 }]],
    ["nginx", [undefined]],
  ] as const);
  const rows = rowsOf("get-1k", { cpu: "us/request", rate: "requests/s" }, samples);
  assert.deepEqual(
    rows.map(({ metric, peer }) => `${metric} ${peer}`),
    ["rate direct"],
  );
});

test("results: added latency is the distance to the direct way in the same repetition", () => {
  const samples = new Map([
    ["product", [{ p50: 3 }, { p50: 5 }]],
    ["direct", [{ p50: 1 }, { p50: 4 }]],
    ["go", [{ p50: 5 }, { p50: 6 }]],
  ] as const);
  const rows = rowsOf("get-1k-c1", { added: "ms" }, samples);
  assert.deepEqual(
    rows.map(({ peer, product, peerValue, ratio }) => ({ peer, product, peerValue, ratio })),
    [{ peer: "go", product: 1.5, peerValue: 3, ratio: { min: 0.5, median: 0.5, max: 0.5 } }],
  );
});
