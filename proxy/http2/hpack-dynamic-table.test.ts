import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DynamicTable } from "./hpack-dynamic-table.ts";
import { HeaderField } from "./hpack-field.ts";

const step = fc.oneof(
  fc.record({ add: fc.nat({ max: 200 }) }),
  fc.record({ add: fc.nat({ max: 4 }) }),
  fc.record({ add: fc.nat({ max: 4 }) }),
  fc.record({ resize: fc.nat({ max: 4096 }) }),
);

test("DynamicTable: holds what a plain list that drops its oldest entries holds", () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 40, maxLength: 150 }), (steps) => {
      const table = new DynamicTable(4096);
      let model: HeaderField[] = [];
      let maxSize = 4096;
      for (const [number, change] of steps.entries()) {
        if ("resize" in change) {
          table.maxSize = maxSize = change.resize;
        } else {
          const field = new HeaderField(String(number), "v".repeat(change.add));
          table.add(field);
          model.unshift(field);
        }
        let size = 0;
        model = model.filter((field) => {
          size += field.size;
          return size <= maxSize;
        });
        for (let place = 0; place <= model.length; place++) assert.equal(table.at(place), model[place]);
      }
    }),
  );
});
