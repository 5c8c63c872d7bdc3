import assert from "node:assert/strict";
import { test } from "node:test";
import { builtInSchemas } from "../builtin/catalog.ts";
import { at, isObject, type JsonObject, objectOf } from "../json.ts";
import { PatchError } from "./json-patch.ts";
import { applyStrategicPatch } from "./strategic-merge.ts";

const schema = builtInSchemas().get("io.k8s.api.core.v1.Pod");
const pod = {
  metadata: { name: "p", finalizers: ["example.com/a"], labels: { a: "1", b: "2" } },
  spec: {
    containers: [
      { name: "c", image: "i", env: [{ name: "A", value: "1" }], args: ["x"] },
      { name: "d", image: "j" },
    ],
    tolerations: [{ key: "k" }],
    volumes: [{ name: "v", emptyDir: {} }],
  },
};
const specOf = (patch: JsonObject): JsonObject => {
  const result = applyStrategicPatch(schema, pod, { spec: patch });
  return isObject(result) ? objectOf(result.spec) : {};
};

test("strategic merge: containers are merged by name, their environment too, plain lists replaced", () => {
  const { containers } = specOf({
    containers: [{ name: "c", env: [{ name: "B", value: "2" }], args: ["y"] }],
  });
  assert.deepEqual(containers, [
    // What the patch brings and the server does not have comes first, as on a real server.
    {
      name: "c",
      image: "i",
      env: [
        { name: "B", value: "2" },
        { name: "A", value: "1" },
      ],
      args: ["y"],
    },
    { name: "d", image: "j" },
  ]);
});

test("strategic merge: $patch delete takes an element out, replace the whole list", () => {
  assert.deepEqual(specOf({ containers: [{ name: "c", $patch: "delete" }] }).containers, [
    { name: "d", image: "j" },
  ]);
  assert.deepEqual(specOf({ containers: [{ name: "e" }, { $patch: "replace" }] }).containers, [
    { name: "e" },
  ]);
});

test("strategic merge: $setElementOrder orders what it names", () => {
  const { containers } = specOf({
    "$setElementOrder/containers": [{ name: "d" }, { name: "c" }],
    containers: [{ name: "d", image: "k" }],
  });
  assert.deepEqual(Array.isArray(containers) ? containers.map((each) => at(each, "name")) : [], ["d", "c"]);
});

test("strategic merge: $retainKeys drops the other kinds of a volume", () => {
  const { volumes } = specOf({
    volumes: [{ name: "v", $retainKeys: ["name", "secret"], secret: { secretName: "s" } }],
  });
  assert.deepEqual(volumes, [{ name: "v", secret: { secretName: "s" } }]);
});

test("strategic merge: sets are united and $deleteFromPrimitiveList takes values out", () => {
  const united = applyStrategicPatch(schema, pod, {
    metadata: { finalizers: ["example.com/b", "example.com/a"] },
  });
  const finalizers = at(united, "metadata", "finalizers");
  assert.deepEqual(Array.isArray(finalizers) ? finalizers.toSorted() : [], [
    "example.com/a",
    "example.com/b",
  ]);
  const less = applyStrategicPatch(schema, pod, {
    metadata: { "$deleteFromPrimitiveList/finalizers": ["example.com/a"] },
  });
  assert.deepEqual(at(less, "metadata", "finalizers"), []);
});

test("strategic merge: null deletes, and an element without its merge key is refused", () => {
  assert.deepEqual(
    at(applyStrategicPatch(schema, pod, { metadata: { labels: { a: null } } }), "metadata", "labels"),
    { b: "2" },
  );
  assert.throws(() => specOf({ containers: [{ image: "x" }] }), PatchError);
});

test("strategic merge: the target stays as it was", () => {
  const before = structuredClone(pod);
  specOf({ containers: [{ name: "c", $patch: "delete" }], "$setElementOrder/containers": [{ name: "d" }] });
  assert.deepEqual(pod, before);
});
