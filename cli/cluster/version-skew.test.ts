import assert from "node:assert/strict";
import { test } from "node:test";
import { skewBetween } from "./version-skew.ts";

test("skewBetween: one minor version apart is an upgrade on its way, two are not", () => {
  const cases: readonly (readonly [string, string, string | undefined])[] = [
    ["0.2.0", "0.2.9", undefined],
    ["0.1.0", "0.2.0", undefined],
    ["0.3.0", "0.2.0", undefined],
    ["0.1.0", "0.3.0", "2 minor versions behind"],
    ["v0.12.1", "0.9.0", "3 minor versions ahead of"],
    ["1.0.0", "0.9.0", "another major version than"],
    ["dev", "dev", undefined],
    ["dev", "0.1.0", "not comparable to"],
  ];
  for (const [version, manager, skew] of cases) assert.equal(skewBetween(version, manager), skew, version);
});
