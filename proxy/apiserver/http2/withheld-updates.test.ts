import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { WithheldUpdates } from "./withheld-updates.ts";

test("withheld updates: the API server hears of a quarter of a window at once, not of each read", () => {
  const withheld = new WithheldUpdates(65_535);
  let window = 65_535;
  let updates = 0;
  for (let read = 0; read < 1_000; read++) {
    window -= 1_000;
    window += 1_000;
    withheld.add(1_000, window);
    if (withheld.due(window) > 0) updates++;
  }
  assert.equal(updates, 58, "a million octets in pieces of a quarter of 64 KiB");
});

test("withheld updates: a larger window is told of at once", () => {
  const withheld = new WithheldUpdates(65_535);
  withheld.add(2 ** 30, 2 ** 30 + 65_535);
  assert.equal(withheld.due(2 ** 30 + 65_535), 2 ** 30);
});

test("withheld updates: whatever comes, the API server knows of three quarters of the window or of all there is", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -20_000, max: 20_000 })), (steps) => {
      const full = 65_535;
      const withheld = new WithheldUpdates(full);
      let [window, known, most] = [full, full, full];
      for (const step of steps) {
        if (step < 0) {
          const used = Math.min(-step, known);
          window -= used;
          known -= used;
        } else if (step > 0) {
          window += step;
          withheld.add(step, window);
        }
        most = Math.max(most, window);
        known += withheld.due(window);
        assert.ok(known <= window, "never more than the client gave");
        assert.ok(known === window || known >= most * 0.75);
      }
      assert.equal(known + withheld.all(), window, "nothing is lost");
    }),
  );
});
