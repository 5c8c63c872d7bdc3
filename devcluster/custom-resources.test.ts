import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { arrayOf, at, type JsonObject, stringOf } from "./json.ts";
import { TestSession } from "./test-session.ts";

let session: TestSession;
const definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const foos = "/apis/example.com/v1/namespaces/default/foos";

const spec = {
  type: "object",
  required: ["req"],
  properties: {
    req: { type: "string", minLength: 2, maxLength: 5, pattern: "^[a-z]+$" },
    num: { type: "integer", minimum: 1, maximum: 10, format: "int32" },
    kind: { type: "string", enum: ["A", "B"], default: "A" },
    nested: { type: "object", default: {}, properties: { deep: { type: "integer", default: 3 } } },
    list: { type: "array", maxItems: 2, items: { type: "string" } },
    set: { type: "array", "x-kubernetes-list-type": "set", items: { type: "string" } },
    map: {
      type: "array",
      "x-kubernetes-list-type": "map",
      "x-kubernetes-list-map-keys": ["name"],
      items: {
        type: "object",
        required: ["name"],
        properties: { name: { type: "string" }, v: { type: "integer" } },
      },
    },
    port: { "x-kubernetes-int-or-string": true },
    free: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
    when: { type: "string", format: "date-time" },
    after: { type: "string", format: "duration" },
    none: { type: "string", nullable: true },
    counts: { type: "object", additionalProperties: { type: "integer" } },
  },
};

before(async () => {
  session = await TestSession.start();
  const created = await session.post(definitions, {
    metadata: { name: "foos.example.com" },
    spec: {
      group: "example.com",
      scope: "Namespaced",
      names: { plural: "foos", kind: "Foo", shortNames: ["fo"] },
      versions: [
        {
          name: "v1",
          served: true,
          storage: true,
          subresources: { status: {} },
          schema: {
            openAPIV3Schema: {
              type: "object",
              properties: { spec, status: { type: "object", properties: { phase: { type: "string" } } } },
            },
          },
          additionalPrinterColumns: [
            { name: "Req", type: "string", jsonPath: ".spec.req" },
            { name: "Num", type: "integer", jsonPath: ".spec.num", priority: 1 },
          ],
        },
      ],
    },
  });
  assert.equal(created.status, 201);
});
after(() => session[Symbol.asyncDispose]());

let count = 0;
const fooOf = (value: unknown, name = `foo-${++count}`): JsonObject => ({
  apiVersion: "example.com/v1",
  kind: "Foo",
  metadata: { name },
  spec: value,
});

test("definition: gets its conditions, and discovery shows the kind in both forms", async () => {
  const { body } = await session.until("Established", `${definitions}/foos.example.com`, (answer) =>
    arrayOf(at(answer.body, "status", "conditions")).some(
      (each) => at(each, "type") === "Established" && at(each, "status") === "True",
    ),
  );
  assert.deepEqual(at(body, "status", "storedVersions"), ["v1"]);
  const old = await session.get("/apis/example.com/v1");
  assert.deepEqual(
    arrayOf(old.body.resources).map((each) => at(each, "name")),
    ["foos", "foos/status"],
  );
  const accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
  const aggregated = await session.call("GET", "/apis", { headers: { accept } });
  assert.equal(aggregated.headers["content-type"], accept);
  assert.match(aggregated.text, /"name":"example\.com"/);
});

test("custom resource: unknown fields are dropped, defaults filled in, also below a default", async () => {
  const { status, body } = await session.post(
    foos,
    fooOf({ req: "abc", unknown: 1, free: { any: [1] }, none: null, kind: null }),
  );
  assert.equal(status, 201);
  assert.deepEqual(body.spec, { req: "abc", kind: "A", nested: { deep: 3 }, free: { any: [1] }, none: null });
});

test("custom resource: each value that the schema forbids is 422 and names its field", async () => {
  const cases: readonly (readonly [value: JsonObject, field: string, text: RegExp])[] = [
    [{}, "spec.req", /Required value/],
    [{ req: "a" }, "spec.req", /at least 2 chars long/],
    [{ req: "abcdef" }, "spec.req", /may not be more than 5 bytes/],
    [{ req: "ABC" }, "spec.req", /should match '\^\[a-z\]\+\$'/],
    [{ req: 5 }, "spec.req", /must be of type string: "integer"/],
    [{ req: "abc", num: 0 }, "spec.num", /greater than or equal to 1/],
    [{ req: "abc", num: 11 }, "spec.num", /less than or equal to 10/],
    [{ req: "abc", num: 1.5 }, "spec.num", /must be of type integer/],
    [{ req: "abc", kind: "C" }, "spec.kind", /supported values: "A", "B"/],
    [{ req: "abc", list: ["a", "b", "c"] }, "spec.list", /must have at most 2 items/],
    [{ req: "abc", list: [1] }, "spec.list[0]", /must be of type string/],
    [{ req: "abc", set: ["a", "a"] }, "spec.set[1]", /Duplicate value: "a"/],
    [{ req: "abc", map: [{ name: "a" }, { name: "a" }] }, "spec.map[1]", /Duplicate value/],
    [{ req: "abc", map: [{ v: 1 }] }, "spec.map[0].name", /Required value/],
    [{ req: "abc", port: true }, "spec.port", /integer,string/],
    [{ req: "abc", when: "yesterday" }, "spec.when", /must be of type date-time/],
    [{ req: "abc", after: "5 parsecs" }, "spec.after", /must be of type duration/],
    [{ req: "abc", counts: { a: "x" } }, "spec.counts.a", /must be of type integer/],
  ];
  for (const [value, field, text] of cases) {
    const { status, body } = await session.post(foos, fooOf(value));
    const [cause] = arrayOf(at(body, "details", "causes"));
    assert.deepEqual([status, at(cause, "field")], [422, field], JSON.stringify(value));
    assert.match(stringOf(at(cause, "message")), text);
  }
});

test("custom resource: strict validation names every unknown field", async () => {
  const { status, body } = await session.post(
    `${foos}?fieldValidation=Strict`,
    fooOf({ req: "abc", a: 1, nested: { b: 1 } }),
  );
  assert.equal(status, 400);
  assert.match(stringOf(body.message), /unknown field "spec\.a", unknown field "spec\.nested\.b"/);
});

test("custom resource: status and spec are written apart, and only the spec counts generations", async () => {
  const made = await session.post(foos, { ...fooOf({ req: "abc" }, "apart"), status: { phase: "early" } });
  assert.deepEqual([made.body.status, at(made.body, "metadata", "generation")], [undefined, 1]);
  const status = await session.patch(`${foos}/apart/status`, "merge", {
    spec: { req: "xyz" },
    status: { phase: "Ready" },
    metadata: { labels: { a: "b" } },
  });
  assert.deepEqual(
    [at(status.body, "spec", "req"), status.body.status, at(status.body, "metadata", "labels")],
    ["abc", { phase: "Ready" }, undefined],
  );
  const desired = await session.patch(`${foos}/apart`, "merge", {
    spec: { req: "xyz" },
    status: { phase: "no" },
  });
  assert.deepEqual(
    [at(desired.body, "metadata", "generation"), desired.body.status],
    [2, { phase: "Ready" }],
  );
});

test("custom resource: a strategic merge patch is 415", async () => {
  await session.post(foos, fooOf({ req: "abc" }, "strategic"));
  assert.equal((await session.patch(`${foos}/strategic`, "strategic-merge", {})).status, 415);
});

test("custom resource: a table has the declared columns", async () => {
  await session.post(foos, fooOf({ req: "tab", num: 7 }, "table"));
  const headers = { accept: "application/json;as=Table;v=v1;g=meta.k8s.io" };
  const { body } = await session.call("GET", `${foos}/table`, { headers });
  assert.deepEqual(at(arrayOf(body.rows)[0], "cells"), ["table", "tab", 7]);
});

test("definition: deleted it takes its objects along and is served no more", async () => {
  const names = { plural: "bars", kind: "Bar" };
  const versions = [
    {
      name: "v1",
      served: true,
      storage: true,
      schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
    },
  ];
  await session.post(definitions, {
    metadata: { name: "bars.example.org" },
    spec: { group: "example.org", scope: "Cluster", names, versions },
  });
  const bars = "/apis/example.org/v1/bars";
  assert.equal(
    (await session.post(bars, { apiVersion: "example.org/v1", kind: "Bar", metadata: { name: "b" }, any: 1 }))
      .status,
    201,
  );
  await session.call("DELETE", `${definitions}/bars.example.org`);
  assert.equal((await session.get(bars)).status, 404);
  await session.post(definitions, {
    metadata: { name: "bars.example.org" },
    spec: { group: "example.org", scope: "Cluster", names, versions },
  });
  assert.deepEqual((await session.get(bars)).body.items, []);
});

test("OpenAPI: the document of the group version holds the schema and the parameters that kubectl asks for", async () => {
  const index = await session.get("/openapi/v3");
  const path = at(index.body, "paths", "apis/example.com/v1", "serverRelativeURL");
  const { body } = await session.get(stringOf(path));
  const schema = at(body, "components", "schemas", "com.example.v1.Foo");
  assert.deepEqual(at(schema, "properties", "spec", "properties", "kind"), spec.properties.kind);
  assert.match(JSON.stringify(at(body, "paths")), /"fieldValidation"/);
});
