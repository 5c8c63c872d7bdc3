import assert from "node:assert/strict";
import { type ConformanceCase, conforms, isAnswer, metadataOf, nameOf } from "../case.ts";
import type { Api, Json } from "../client.ts";

const definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

const spec: Json = {
  type: "object",
  required: ["size"],
  properties: {
    size: { type: "integer", minimum: 1, maximum: 10 },
    mode: { type: "string", enum: ["A", "B"], default: "A" },
    text: { type: "string", maxLength: 5, pattern: "^[a-z]+$" },
    nested: { type: "object", default: {}, properties: { deep: { type: "integer", default: 3 } } },
    free: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
    parts: {
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
  },
};

let count = 0;

interface Kind {
  readonly group: string;
  /** Of the kind in a namespace of its own. */
  readonly path: string;
  readonly definition: string;
}

const shared = new WeakMap<Api, Promise<Kind>>();

/** The kind without changes, made once for all cases, in a namespace of its own for each. */
async function kind(api: Api): Promise<Kind> {
  const made = shared.get(api) ?? ownKind(api);
  shared.set(api, made);
  const { group, definition } = await made;
  return { group, definition, path: `/apis/${group}/v1/namespaces/${await api.namespace()}/things` };
}

/** A kind of its own for one case, served from the moment that this resolves. */
async function ownKind(api: Api, change: Json = {}): Promise<Kind> {
  const group = `g${++count}.example.com`;
  const schema = {
    openAPIV3Schema: {
      type: "object",
      properties: { spec, status: { type: "object", properties: { phase: { type: "string" } } } },
    },
  };
  const version = { name: "v1", served: true, storage: true, schema, ...change };
  await api.made(definitions, {
    metadata: { name: `things.${group}` },
    spec: {
      group,
      scope: "Namespaced",
      names: { plural: "things", singular: "thing", kind: "Thing" },
      versions: [version],
    },
  });
  const definition = `${definitions}/things.${group}`;
  await api.until("Established", definition, ({ body }) => conditions(body).includes("Established=True"));
  const path = `/apis/${group}/v1/namespaces/${await api.namespace()}/things`;
  await api.until("the kind served", path, ({ status }) => status === 200);
  return { group, path, definition };
}

function conditions({ status }: Json): string[] {
  const list = ((status as Json | undefined)?.conditions ?? []) as Json[];
  return list.map((each) => `${String(each.type)}=${String(each.status)}`);
}

const thing = (group: string, value: Json, name = "a"): Json => ({
  apiVersion: `${group}/v1`,
  kind: "Thing",
  metadata: { name },
  spec: value,
});

const invalid: readonly (readonly [id: string, value: Json, field: string, message: RegExp])[] = [
  ["required", {}, "spec.size", /^Thing\.\S+ "a" is invalid: spec\.size: Required value$/],
  [
    "maximum",
    { size: 11 },
    "spec.size",
    /spec\.size: Invalid value: 11: spec\.size in body should be less than or equal to 10$/,
  ],
  [
    "minimum",
    { size: 0 },
    "spec.size",
    /spec\.size: Invalid value: 0: spec\.size in body should be greater than or equal to 1$/,
  ],
  [
    "type",
    { size: "big" },
    "spec.size",
    /spec\.size: Invalid value: "string": spec\.size in body must be of type integer: "string"$/,
  ],
  [
    "enum",
    { size: 1, mode: "C" },
    "spec.mode",
    /spec\.mode: Unsupported value: "C": supported values: "A", "B"$/,
  ],
  [
    "pattern",
    { size: 1, text: "A" },
    "spec.text",
    /spec\.text: Invalid value: "A": spec\.text in body should match '\^\[a-z\]\+\$'$/,
  ],
  [
    "length",
    { size: 1, text: "toolong" },
    "spec.text",
    /spec\.text: Too long: may not be more than 5 bytes$/,
  ],
  [
    "duplicate-key",
    { size: 1, parts: [{ name: "x" }, { name: "x" }] },
    "spec.parts[1]",
    /spec\.parts\[1\]: Duplicate value: /,
  ],
];

export const customResourceCases: readonly ConformanceCase[] = [
  conforms("crd-conditions-and-names", async (api) => {
    const { definition } = await kind(api);
    const { body } = await api.get(definition);
    assert.deepEqual(conditions(body).slice(0, 2), ["NamesAccepted=True", "Established=True"]);
    assert.partialDeepStrictEqual(body.status, {
      acceptedNames: { plural: "things", kind: "Thing", listKind: "ThingList" },
      storedVersions: ["v1"],
    });
  }),
  conforms("crd-in-discovery", async (api) => {
    const { group } = await kind(api);
    const { body } = await api.until("discovery", `/apis/${group}/v1`, ({ status }) => status === 200);
    assert.partialDeepStrictEqual(body, {
      kind: "APIResourceList",
      resources: [{ name: "things", kind: "Thing", namespaced: true }],
    });
  }),
  conforms("cr-defaults-and-pruning", async (api) => {
    const { group, path } = await kind(api);
    const { status, body } = await api.post(path, {
      ...thing(group, { size: 1, unknown: 1, free: { kept: 1 } }),
      extra: 1,
    });
    assert.equal(status, 201);
    assert.deepEqual(body.spec, { size: 1, mode: "A", nested: { deep: 3 }, free: { kept: 1 } });
    assert.ok(!("extra" in body));
    assert.equal(metadataOf(body).generation, 1);
  }),
  conforms("cr-warns-of-unknown-fields", async (api) => {
    const { group, path } = await kind(api);
    const { headers } = await api.post(path, thing(group, { size: 1, unknown: 1 }));
    assert.equal(headers.warning, '299 - "unknown field \\"spec.unknown\\""');
  }),
  conforms("cr-strict", async (api) => {
    const { group, path } = await kind(api);
    isAnswer(await api.post(`${path}?fieldValidation=Strict`, thing(group, { size: 1, unknown: 1 })), {
      status: 400,
      reason: "BadRequest",
      message: /strict decoding error: unknown field "spec\.unknown"$/,
    });
  }),
  ...invalid.map(([id, value, field, message]) =>
    conforms(`cr-invalid-${id}`, async (api) => {
      const { group, path } = await kind(api);
      isAnswer(await api.post(path, thing(group, value)), {
        status: 422,
        reason: "Invalid",
        message,
        fields: [field],
      });
    }),
  ),
  conforms("cr-without-kind", async (api) => {
    const { group, path } = await kind(api);
    isAnswer(await api.post(path, { apiVersion: `${group}/v1`, metadata: { name: "a" } }), {
      status: 400,
      reason: "BadRequest",
      message: /Object 'Kind' is missing/,
    });
  }),
  conforms("cr-update-needs-a-version", async (api) => {
    const { group, path } = await kind(api);
    await api.made(path, thing(group, { size: 1 }));
    isAnswer(await api.put(`${path}/a`, thing(group, { size: 2 })), {
      status: 422,
      reason: "Invalid",
      message: /metadata\.resourceVersion: Invalid value: (0x0|0|""): must be specified for an update$/,
      fields: ["metadata.resourceVersion"],
    });
  }),
  conforms("cr-status-subresource", async (api) => {
    const { group, path } = await ownKind(api, { subresources: { status: {} } });
    const made = await api.made(path, { ...thing(group, { size: 1 }), status: { phase: "mine" } });
    assert.equal(made.status, undefined);
    const main = await api.patch(`${path}/a`, "merge", { status: { phase: "mine" } });
    assert.equal(main.body.status, undefined);
    const own = await api.patch(`${path}/a/status`, "merge", {
      spec: { size: 5 },
      status: { phase: "Ready" },
    });
    assert.deepEqual([own.body.status, (own.body.spec as Json).size], [{ phase: "Ready" }, 1]);
    assert.equal(metadataOf(own.body).generation, 1);
    assert.equal(
      metadataOf((await api.patch(`${path}/a`, "merge", { spec: { size: 2 } })).body).generation,
      2,
    );
  }),
  conforms("cr-without-status-subresource", async (api) => {
    const { group, path } = await kind(api);
    const made = await api.made(path, { ...thing(group, { size: 1 }), status: { phase: "mine" } });
    assert.deepEqual(made.status, { phase: "mine" });
    isAnswer(await api.get(`${path}/a/status`), { status: 404, reason: "NotFound" });
  }),
  conforms("cr-list-items-carry-their-kind", async (api) => {
    const { group, path } = await kind(api);
    await api.made(path, thing(group, { size: 1 }));
    const { body } = await api.get(path);
    assert.equal(body.kind, "ThingList");
    assert.partialDeepStrictEqual(body.items, [{ apiVersion: `${group}/v1`, kind: "Thing" }]);
  }),
  conforms("cr-no-strategic-patch", async (api) => {
    const { group, path } = await kind(api);
    await api.made(path, thing(group, { size: 1 }));
    isAnswer(await api.patch(`${path}/a`, "strategic-merge", {}), {
      status: 415,
      reason: "UnsupportedMediaType",
    });
  }),
  conforms("cr-apply-lists-by-key", async (api) => {
    const { group, path } = await kind(api);
    const apply = (manager: string, parts: readonly Json[]) =>
      api.apply(`${path}/a?fieldManager=${manager}`, thing(group, { size: 1, parts }));
    assert.equal((await apply("one", [{ name: "x", v: 1 }])).status, 201);
    const { status, body } = await apply("two", [{ name: "y", v: 2 }]);
    assert.deepEqual(
      [status, (body.spec as Json).parts],
      [
        200,
        [
          { name: "x", v: 1 },
          { name: "y", v: 2 },
        ],
      ],
    );
    isAnswer(await apply("two", [{ name: "x", v: 3 }]), {
      status: 409,
      reason: "Conflict",
      fields: ['.spec.parts[name="x"].v'],
    });
  }),
  conforms("cr-printer-columns", async (api) => {
    const { group, path } = await ownKind(api, {
      additionalPrinterColumns: [
        { name: "Size", type: "integer", jsonPath: ".spec.size" },
        { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" },
      ],
    });
    await api.made(path, thing(group, { size: 4 }));
    const { body } = await api.get(path, {
      headers: { accept: "application/json;as=Table;v=v1;g=meta.k8s.io" },
    });
    assert.deepEqual(
      (body.columnDefinitions as Json[]).map(({ name }) => name),
      ["Name", "Size", "Age"],
    );
    const [row = {}] = body.rows as Json[];
    assert.deepEqual((row.cells as unknown[]).slice(0, 2), ["a", 4]);
  }),
  conforms("cr-watch-and-selectors", async (api) => {
    const { group, path } = await kind(api);
    using watch = api.watch(`${path}?watch=1&labelSelector=on`);
    await watch.head();
    await api.made(path, thing(group, { size: 1 }, "out"));
    await api.made(path, { ...thing(group, { size: 1 }), metadata: { name: "in", labels: { on: "1" } } });
    assert.deepEqual(await watch.names(1), ["ADDED in"]);
    isAnswer(await api.get(`${path}?fieldSelector=spec.size%3D1`), {
      status: 400,
      reason: "BadRequest",
      message: "field label not supported: spec.size",
    });
  }),
  conforms("cr-gone-with-its-definition", async (api) => {
    const { group, path, definition } = await ownKind(api);
    await api.made(path, thing(group, { size: 1 }));
    await api.delete(definition);
    await api.until("definition gone", definition, ({ status }) => status === 404);
    await api.until("kind not served", path, ({ status }) => status === 404);
  }),
  conforms("crd-bad-name", async (api) => {
    const answer = await api.post(definitions, {
      metadata: { name: "wrong" },
      spec: {
        group: "x.example.com",
        scope: "Namespaced",
        names: { plural: "things", kind: "Thing" },
        versions: [
          { name: "v1", served: true, storage: true, schema: { openAPIV3Schema: { type: "object" } } },
        ],
      },
    });
    isAnswer(answer, {
      status: 422,
      reason: "Invalid",
      message: /metadata\.name: Invalid value: "wrong": must be spec\.names\.plural\+"\."\+spec\.group$/,
    });
  }),
  conforms(
    "cr-cel-rule",
    async (api) => {
      const rule = { "x-kubernetes-validations": [{ rule: "self.size < 5", message: "too big" }] };
      const { group, path } = await ownKind(api, {
        schema: { openAPIV3Schema: { type: "object", properties: { spec: { ...spec, ...rule } } } },
      });
      assert.equal(nameOf(await api.made(path, thing(group, { size: 4 }))), "a");
      isAnswer(await api.post(path, thing(group, { size: 6 }, "b")), {
        status: 422,
        reason: "Invalid",
        message: /spec: Invalid value: .*too big$/,
      });
    },
    "evaluates no CEL: the rules of our kinds are also checks of the webhook, which the tests on it hold to",
  ),
];
