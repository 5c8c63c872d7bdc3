import assert from "node:assert/strict";
import { test } from "node:test";
import { parseQuery } from "./query.ts";

test("parseQuery: drops pairs that Go drops and decodes the others", () => {
  const read = (text: string): string[][] => [...parseQuery(text)];
  assert.deepEqual(read("a=1&b=2;c=3&d=%zz&e=%4"), [["a", "1"]]);
  assert.deepEqual(read("%zz=1&a=%3D+x&a=&b"), [
    ["a", "= x"],
    ["a", ""],
    ["b", ""],
  ]);
  assert.deepEqual(read(""), []);
});
