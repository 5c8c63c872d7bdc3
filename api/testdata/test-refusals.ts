import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "yaml";
import { CtrlmeshError } from "../errors.ts";
import type { BadResource } from "./bad-resource.ts";

/** One test per bad resource: the parser refuses it with the stated path and text. */
export function testRefusals(
  parser: string,
  parseKind: (value: unknown) => unknown,
  cases: readonly BadResource[],
): void {
  for (const { title, yaml, where, message } of cases) {
    const subject = /^D\d+: /.test(title) ? "" : `${parser}: `;
    test(`${subject}${title} is refused`, () => {
      assert.throws(
        () => parseKind(parse(yaml)),
        (error: unknown) => {
          assert.ok(error instanceof CtrlmeshError, String(error));
          assert.equal(error.code, "INVALID_RESOURCE");
          assert.equal(error.where, where);
          assert.ok(error.message.includes(message), error.message);
          return true;
        },
      );
    });
  }
}
