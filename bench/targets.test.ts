import assert from "node:assert/strict";
import { test } from "node:test";
import type { ResultRow } from "./results.ts";
import { isFailed, type Judgement, judge, targets } from "./targets.ts";

const row = (given: Pick<ResultRow, "case" | "metric" | "peer"> & { ratio?: number; product?: number }) => {
  const { ratio = 1, product = 1, ...rest } = given;
  const spread = { min: ratio, median: ratio, max: ratio };
  return { ...rest, product, peerValue: product / ratio, unit: "", ratio: spread } satisfies ResultRow;
};

const only = (judgements: readonly Judgement[], name: string, against: string): Judgement => {
  const found = judgements.filter(
    ({ target, row: found }) => target.case === name && target.against === against && found !== undefined,
  );
  assert.equal(found.length, 1);
  return found[0] as Judgement;
};

test("targets: a hard ratio above its limit is missed and fails the run, whatever the distance", () => {
  const cpu = (ratio: number) => judge([row({ case: "get-1k", metric: "cpu", peer: "go", ratio })]);
  assert.equal(only(cpu(0.58), "get-1k", "go").verdict, "met");
  assert.equal(only(cpu(0.59), "get-1k", "go").verdict, "missed");
  assert.equal(isFailed(cpu(0.59)), true);
  assert.equal(isFailed(cpu(0.58)), false);
});

test("targets: a soft one may be missed by 15 %, and never fails the run", () => {
  const rate = (ratio: number) => judge([row({ case: "list-2m", metric: "rate", peer: "go", ratio })]);
  const verdicts = [1.8, 1.6, 1.5].map((ratio) => only(rate(ratio), "list-2m", "go").verdict);
  assert.deepEqual(verdicts, ["met", "within 15 %", "missed"]);
  assert.equal(isFailed(rate(1.5)), false);
});

test("targets: an absolute one looks at the product's own value, beside whatever peer", () => {
  const idle = (product: number) => judge([row({ case: "idle", metric: "rss", peer: "nginx", product })]);
  assert.equal(only(idle(70), "idle", "value").verdict, "met");
  assert.equal(only(idle(70.1), "idle", "value").verdict, "missed");
  const growth = (product: number) =>
    judge([row({ case: "list-20m", metric: "growth", peer: "go", product })]);
  assert.equal(only(growth(8), "list-20m", "value").verdict, "missed");
  assert.equal(only(growth(7.9), "list-20m", "value").verdict, "met");
});

test("targets: what was not measured is said and fails nothing", () => {
  const judgements = judge([]);
  assert.equal(judgements.length, targets.length);
  assert.ok(judgements.every(({ verdict }) => verdict === "not measured"));
  assert.equal(isFailed(judgements), false);
});
