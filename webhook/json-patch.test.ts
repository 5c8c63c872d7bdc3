import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { jsonPatch, type PatchOperation } from "./json-patch.ts";

test("JSON patch: keys with slash and tilde are escaped, equal parts are left out", () => {
  assert.deepEqual(
    jsonPatch({ a: { "x/y~z": "1", same: [1] } }, { a: { "x/y~z": "2", same: [1] }, b: null }),
    [
      { op: "replace", path: "/a/x~1y~0z", value: "2" },
      { op: "add", path: "/b", value: null },
    ],
  );
});

test("JSON patch: a member called __proto__ is one like others", () => {
  const after = JSON.parse('{"a":{"x":1,"__proto__":{"y":2}}}');
  assert.deepEqual(jsonPatch({ a: { x: 1 } }, after), [{ op: "add", path: "/a/__proto__", value: { y: 2 } }]);
});

test("JSON patch: applied to the first value it gives the second one, for any two objects", () => {
  const object = fc.dictionary(fc.constantFrom("a", "b", "c/d", "e~f"), fc.jsonValue({ maxDepth: 3 }));
  fc.assert(
    fc.property(object, object, (before, after) => {
      const patch: unknown = JSON.parse(JSON.stringify(jsonPatch(before, after)));
      assert.ok(Array.isArray(patch));
      const result = patch.reduce<unknown>(applyOperation, JSON.parse(JSON.stringify(before)));
      assert.deepEqual(result, JSON.parse(JSON.stringify(after)));
    }),
  );
});

/** A member is a member also when it is called `__proto__`. */
function define(parent: object, key: string, value: unknown): void {
  Object.defineProperty(parent, key, { value, enumerable: true, configurable: true, writable: true });
}

/** RFC 6902, add, replace and remove at places that exist. */
function applyOperation(root: unknown, operation: PatchOperation): unknown {
  const keys = operation.path
    .split("/")
    .slice(1)
    .map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"));
  const last = keys.pop();
  if (last === undefined) return operation.op === "remove" ? undefined : operation.value;
  const parent: unknown = keys.reduce<unknown>((value, key) => Reflect.get(Object(value), key), root);
  if (operation.op === "remove") Reflect.deleteProperty(Object(parent), last);
  else define(Object(parent), last, operation.value);
  return root;
}
