import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import fc from "fast-check";
import { arrayOf, at, type JsonObject, stringOf } from "../json.ts";
import { type Answer, TestSession } from "../test-session.ts";
import { difference, intersection, isEmptySet, parseFieldSet, printFieldSet, union } from "./field-set.ts";

let session: TestSession;
before(async () => {
  session = await TestSession.start();
});
after(() => session[Symbol.asyncDispose]());

const maps = "/api/v1/namespaces/default/configmaps";
const apply = (name: string, manager: string, rest: JsonObject, query = ""): Promise<Answer> =>
  session.apply(`${maps}/${name}?fieldManager=${manager}${query}`, {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name },
    ...rest,
  });
const managersOf = ({ body }: Answer): string[] =>
  arrayOf(at(body, "metadata", "managedFields")).map(
    (entry) => `${stringOf(at(entry, "manager"))} ${stringOf(at(entry, "operation"))}`,
  );

test("apply: creates with 201, merges with 200, and without a manager is 422", async () => {
  assert.equal((await apply("a", "one", { data: { x: "1" } })).status, 201);
  const merged = await apply("a", "two", { data: { y: "2" } });
  assert.deepEqual([merged.status, merged.body.data], [200, { x: "1", y: "2" }]);
  assert.deepEqual(managersOf(merged), ["one Apply", "two Apply"]);
  assert.equal((await session.apply(`${maps}/a`, { apiVersion: "v1", kind: "ConfigMap" })).status, 422);
});

test("apply: another's value is a conflict that names manager and field, force takes it over", async () => {
  await apply("b", "one", { data: { x: "1" } });
  const refused = await apply("b", "two", { data: { x: "2" } });
  assert.deepEqual([refused.status, refused.body.reason], [409, "Conflict"]);
  assert.deepEqual(at(refused.body, "details", "causes"), [
    { reason: "FieldManagerConflict", message: 'conflict with "one"', field: ".data.x" },
  ]);
  const forced = await apply("b", "two", { data: { x: "2" } }, "&force=true");
  assert.deepEqual([forced.status, forced.body.data, managersOf(forced)], [200, { x: "2" }, ["two Apply"]]);
});

test("apply: the same value is owned together, and stays until the last owner drops it", async () => {
  await apply("c", "one", { data: { x: "1" } });
  assert.equal((await apply("c", "two", { data: { x: "1" } })).status, 200);
  assert.deepEqual((await apply("c", "one", {})).body.data, { x: "1" });
  assert.equal((await apply("c", "two", {})).body.data, undefined);
});

test("apply: repeated it changes nothing, not even the resourceVersion", async () => {
  const first = await apply("d", "one", { data: { x: "1" }, metadata: { name: "d", labels: { a: "b" } } });
  const again = await apply("d", "one", { data: { x: "1" }, metadata: { name: "d", labels: { a: "b" } } });
  assert.deepEqual(again.body, first.body);
});

test("apply: a field that an update changed belongs to the updater", async () => {
  await apply("e", "one", { data: { x: "1", y: "1" } });
  await session.patch(`${maps}/e?fieldManager=hand`, "merge", { data: { x: "2" } });
  const refused = await apply("e", "one", { data: { x: "1", y: "1" } });
  assert.deepEqual(
    [refused.status, at(arrayOf(at(refused.body, "details", "causes"))[0], "field")],
    [409, ".data.x"],
  );
});

test("apply: elements of keyed lists have owners of their own", async () => {
  const sets = "/apis/apps/v1/namespaces/default/statefulsets";
  const body = (containers: unknown[]) => ({
    apiVersion: "apps/v1",
    kind: "StatefulSet",
    metadata: { name: "s" },
    spec: {
      serviceName: "x",
      selector: { matchLabels: { app: "x" } },
      template: { metadata: { labels: { app: "x" } }, spec: { containers } },
    },
  });
  const [main, sidecar] = [
    { name: "main", image: "i" },
    { name: "sidecar", image: "j" },
  ];
  await session.apply(`${sets}/s?fieldManager=one`, body([main]));
  const both = await session.apply(`${sets}/s?fieldManager=two`, body([sidecar]));
  const names = ({ body }: Answer): string[] =>
    arrayOf(at(body, "spec", "template", "spec", "containers")).map((each) => stringOf(at(each, "name")));
  assert.deepEqual(names(both).toSorted(), ["main", "sidecar"]);
  assert.deepEqual(names(await session.apply(`${sets}/s?fieldManager=two`, body([]))), ["main"]);
});

const fieldSets = fc.letrec<{ set: JsonObject }>((tie) => ({
  set: fc.dictionary(
    fc.constantFrom(".", "f:a", "f:b", "k:{}"),
    fc.oneof({ maxDepth: 3 }, fc.constant({}), tie("set")),
    { maxKeys: 3 },
  ),
})).set;

test("field sets: union, difference and intersection obey the laws of sets", () => {
  const parse = (value: JsonObject) =>
    parseFieldSet(JSON.parse(JSON.stringify(value, (key, each) => (key === "." ? {} : each))));
  const print = (value: ReturnType<typeof parse>): string => JSON.stringify(printFieldSet(value));
  fc.assert(
    fc.property(fieldSets, fieldSets, (one, two) => {
      const [left, right] = [parse(one), parse(two)];
      assert.equal(print(parseFieldSet(printFieldSet(left))), print(left));
      assert.equal(print(union(left, right)), print(union(right, left)));
      assert.equal(print(union(difference(left, right), intersection(left, right))), print(left));
      assert.ok(isEmptySet(difference(left, union(left, right))));
    }),
  );
});

test("apply: kubectl takes over what it applied on the client side, and keeps the annotation in step", async () => {
  const annotation = "kubectl.kubernetes.io/last-applied-configuration";
  const configMap = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "csa" }, data: { x: "1" } };
  const annotated = {
    ...configMap,
    metadata: { name: "csa", annotations: { [annotation]: JSON.stringify(configMap) } },
  };
  await session.post(`${maps}?fieldManager=kubectl-client-side-apply`, annotated);
  assert.equal((await apply("csa", "someone", { data: { x: "2" } })).status, 409);
  const taken = await apply("csa", "kubectl", { data: { x: "2" } });
  assert.equal(taken.status, 200);
  const kept: unknown = JSON.parse(stringOf(at(taken.body, "metadata", "annotations", annotation)));
  assert.deepEqual(at(kept, "data"), { x: "2" });
});
