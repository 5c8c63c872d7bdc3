import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { applyJsonPatch, PatchError } from "./json-patch.ts";
import { applyMergePatch } from "./merge-patch.ts";

test("JSON patch: the examples of RFC 6902 appendix A", () => {
  const cases: readonly (readonly [document: unknown, operations: unknown[], result: unknown])[] = [
    [{ foo: "bar" }, [{ op: "add", path: "/baz", value: "qux" }], { foo: "bar", baz: "qux" }],
    [{ foo: ["bar", "baz"] }, [{ op: "add", path: "/foo/1", value: "qux" }], { foo: ["bar", "qux", "baz"] }],
    [{ baz: "qux", foo: "bar" }, [{ op: "remove", path: "/baz" }], { foo: "bar" }],
    [{ foo: ["bar", "qux", "baz"] }, [{ op: "remove", path: "/foo/1" }], { foo: ["bar", "baz"] }],
    [{ baz: "qux" }, [{ op: "replace", path: "/baz", value: "boo" }], { baz: "boo" }],
    [
      { foo: { bar: 1 }, qux: {} },
      [{ op: "move", from: "/foo/bar", path: "/qux/thud" }],
      { foo: {}, qux: { thud: 1 } },
    ],
    [
      { foo: ["all", "grass", "cows", "eat"] },
      [{ op: "move", from: "/foo/1", path: "/foo/3" }],
      { foo: ["all", "cows", "eat", "grass"] },
    ],
    [{ foo: ["bar"] }, [{ op: "add", path: "/foo/-", value: ["abc"] }], { foo: ["bar", ["abc"]] }],
    [{ "/": 9, "~1": 10 }, [{ op: "test", path: "/~01", value: 10 }], { "/": 9, "~1": 10 }],
  ];
  for (const [document, operations, result] of cases)
    assert.deepEqual(applyJsonPatch(document, operations), result);
});

test("JSON patch: what does not fit is refused, and the document stays as it was", () => {
  const document = { list: [1], text: "x" };
  const refused = [
    { op: "test", path: "/text", value: "y" },
    { op: "remove", path: "/none" },
    { op: "add", path: "/none/deeper", value: 1 },
    { op: "add", path: "/list/5", value: 1 },
    { op: "add", path: "/list/01", value: 1 },
    { op: "add", path: "text", value: 1 },
    { op: "add", path: "/text" },
    { op: "explode", path: "/text" },
  ];
  for (const operation of refused)
    assert.throws(
      () => applyJsonPatch(document, [{ op: "add", path: "/new", value: 1 }, operation]),
      PatchError,
      JSON.stringify(operation),
    );
  assert.deepEqual(document, { list: [1], text: "x" });
});

test("JSON patch: __proto__ is a field like any other", () => {
  const result = applyJsonPatch({}, [{ op: "add", path: "/__proto__", value: { polluted: true } }]);
  assert.equal(JSON.stringify(result), '{"__proto__":{"polluted":true}}');
  assert.equal(Reflect.get({}, "polluted"), undefined);
});

test("merge patch: applied twice is applied once, and null never stays", () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), (target, patch) => {
      const once = applyMergePatch(target, patch);
      assert.deepEqual(applyMergePatch(once, patch), once);
    }),
  );
  assert.deepEqual(applyMergePatch({ a: { b: 1, c: 2 } }, { a: { b: null }, d: { e: null } }), {
    a: { c: 2 },
    d: {},
  });
});
