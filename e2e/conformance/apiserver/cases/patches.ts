import assert from "node:assert/strict";
import { type ConformanceCase, conforms, isAnswer, metadataOf, nameOf, versionOf } from "../case.ts";
import type { Answer, Api, Json } from "../client.ts";

async function secret(api: Api, labels: Json = {}): Promise<string> {
  const path = `/api/v1/namespaces/${await api.namespace()}/secrets`;
  await api.made(path, { metadata: { name: "a", labels } });
  return `${path}/a`;
}

const rejected = "the server rejected our request due to an error in our request";

/** JSON patches that do not fit a secret. */
const refusedJsonPatches: readonly (readonly [id: string, operations: unknown])[] = [
  ["test-fails", [{ op: "test", path: "/type", value: "x" }]],
  ["remove-absent", [{ op: "remove", path: "/nope" }]],
  ["add-below-absent", [{ op: "add", path: "/nope/deep", value: 1 }]],
  ["unknown-operation", [{ op: "nope", path: "/type" }]],
  [
    "test-after-change",
    [
      { op: "add", path: "/metadata/labels", value: { x: "1" } },
      { op: "test", path: "/metadata/labels/x", value: "2" },
    ],
  ],
];

const container = {
  name: "c",
  image: "i",
  env: [
    { name: "A", value: "1" },
    { name: "B", value: "2" },
  ],
  ports: [{ containerPort: 80, name: "web" }],
};
const workload = (name: string): Json => ({
  metadata: { name },
  spec: {
    serviceName: "s",
    selector: { matchLabels: { app: name } },
    template: {
      metadata: { labels: { app: name } },
      spec: { containers: [container], tolerations: [{ key: "a" }] },
    },
  },
});

async function statefulSet(api: Api): Promise<string> {
  const path = `/apis/apps/v1/namespaces/${await api.namespace()}/statefulsets`;
  await api.made(path, { ...workload("s"), spec: { ...(workload("s").spec as Json), replicas: 0 } });
  return `${path}/s`;
}

function podSpecOf(answer: Answer): { containers: Json[]; tolerations?: Json[] } {
  assert.equal(answer.status, 200, answer.text);
  return ((answer.body.spec as Json).template as Json).spec as { containers: Json[]; tolerations?: Json[] };
}

const inTemplate = (spec: Json): Json => ({ spec: { template: { spec } } });

/** Server-side apply of a ConfigMap by one manager. */
async function configMap(
  api: Api,
): Promise<(manager: string, change: Json, query?: string) => Promise<Answer>> {
  const path = `/api/v1/namespaces/${await api.namespace()}/configmaps/a`;
  return (manager, change, query = "") =>
    api.apply(`${path}?fieldManager=${manager}${query}`, {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "a" },
      ...change,
    });
}

export const patchCases: readonly ConformanceCase[] = [
  ...refusedJsonPatches.map(([id, operations]) =>
    conforms(`json-patch-${id}`, async (api) => {
      const path = await secret(api);
      const before = await api.get(path);
      isAnswer(await api.patch(path, "json", operations), {
        status: 422,
        reason: "Invalid",
        message: rejected,
      });
      assert.deepEqual((await api.get(path)).body, before.body);
    }),
  ),
  conforms("json-patch-no-array", async (api) => {
    isAnswer(await api.patch(await secret(api), "json", {}), {
      status: 400,
      reason: "BadRequest",
      message: /^error decoding patch: /,
    });
  }),
  conforms("json-patch-all-operations", async (api) => {
    const path = await secret(api, { old: "1" });
    const { status, body } = await api.patch(path, "json", [
      { op: "test", path: "/metadata/labels/old", value: "1" },
      { op: "replace", path: "/metadata/labels/old", value: "2" },
      { op: "add", path: "/metadata/labels/x.io~1y", value: "1" },
      { op: "copy", from: "/metadata/labels/x.io~1y", path: "/metadata/labels/z" },
      { op: "move", from: "/metadata/labels/z", path: "/metadata/labels/w" },
      { op: "remove", path: "/metadata/labels/old" },
    ]);
    assert.deepEqual([status, metadataOf(body).labels], [200, { w: "1", "x.io/y": "1" }]);
  }),
  // RFC 6902 would refuse it; the API server's library does not.
  conforms("json-patch-replace-of-an-absent-key", async (api) => {
    const path = await secret(api, { a: "1" });
    const { status, body } = await api.patch(path, "json", [
      { op: "replace", path: "/metadata/labels/b", value: "1" },
    ]);
    assert.deepEqual([status, metadataOf(body).labels], [200, { a: "1", b: "1" }]);
  }),
  conforms("json-patch-of-an-invalid-result", async (api) => {
    const path = await secret(api, { a: "1" });
    isAnswer(await api.patch(path, "json", [{ op: "add", path: "/metadata/labels/b c", value: "1" }]), {
      status: 422,
      reason: "Invalid",
      message: /^Secret "a" is invalid: metadata\.labels: Invalid value: "b c"/,
    });
  }),
  conforms("merge-patch-null-removes", async (api) => {
    const path = await secret(api, { a: "1", b: "2" });
    const { body } = await api.patch(path, "merge", { metadata: { labels: { a: null, c: "3" } } });
    assert.deepEqual(metadataOf(body).labels, { b: "2", c: "3" });
  }),
  conforms("merge-patch-without-change-keeps-the-version", async (api) => {
    const path = await secret(api, { a: "1" });
    const before = (await api.get(path)).body;
    assert.equal(
      versionOf((await api.patch(path, "merge", { metadata: { labels: { a: "1" } } })).body),
      versionOf(before),
    );
  }),
  conforms("merge-patch-with-a-stale-version", async (api) => {
    isAnswer(
      await api.patch(await secret(api), "merge", { metadata: { resourceVersion: "1", labels: { q: "1" } } }),
      { status: 409, reason: "Conflict", message: /the object has been modified/ },
    );
  }),
  conforms("merge-patch-of-another-name", async (api) => {
    isAnswer(await api.patch(await secret(api), "merge", { metadata: { name: "other" } }), {
      status: 400,
      reason: "BadRequest",
      message: "the name of the object (other) does not match the name on the URL (a)",
    });
  }),
  conforms("merge-patch-of-an-absent-object", async (api) => {
    isAnswer(await api.patch("/api/v1/namespaces/default/secrets/nowhere", "merge", {}), {
      status: 404,
      reason: "NotFound",
    });
  }),
  conforms("merge-patch-of-a-wrong-type", async (api) => {
    isAnswer(await api.patch(await secret(api), "merge", { metadata: { labels: { q: 1 } } }), {
      status: 422,
      reason: "Invalid",
      message: /json: cannot unmarshal number into Go struct field \w+\.metadata\.labels of type string$/,
      fields: ["patch"],
    });
  }),
  conforms("merge-patch-strict", async (api) => {
    const path = await secret(api);
    isAnswer(
      await api.call("PATCH", `${path}?fieldValidation=Strict`, {
        body: { foo: 1 },
        headers: { "content-type": "application/merge-patch+json" },
      }),
      { status: 422, reason: "Invalid", message: /strict decoding error: unknown field "foo"$/ },
    );
  }),
  conforms("merge-patch-dry-run", async (api) => {
    const path = await secret(api);
    const { body } = await api.patch(`${path}?dryRun=All`, "merge", { metadata: { labels: { dry: "1" } } });
    assert.deepEqual(metadataOf(body).labels, { dry: "1" });
    assert.equal(metadataOf((await api.get(path)).body).labels, undefined);
  }),
  conforms("patch-of-an-unknown-type", async (api) => {
    const path = await secret(api);
    isAnswer(await api.call("PATCH", path, { body: "{}", headers: { "content-type": "application/json" } }), {
      status: 415,
      reason: "UnsupportedMediaType",
      message: "415: Unsupported Media Type",
    });
  }),
  conforms("patches-at-once-all-count", async (api) => {
    const path = await secret(api);
    const labels = Array.from({ length: 5 }, (_, index) => `l${index}`);
    await Promise.all(
      labels.map((label) => api.patch(path, "merge", { metadata: { labels: { [label]: "1" } } })),
    );
    assert.deepEqual(Object.keys(metadataOf((await api.get(path)).body).labels as Json).sort(), labels);
  }),
  conforms("strategic-patch-merges-containers-by-name", async (api) => {
    const path = await statefulSet(api);
    const { containers } = podSpecOf(
      await api.patch(
        path,
        "strategic-merge",
        inTemplate({
          containers: [
            { name: "c", image: "j" },
            { name: "d", image: "k" },
          ],
        }),
      ),
    );
    assert.deepEqual(containers.map(({ name, image }) => `${name}=${image}`).sort(), ["c=j", "d=k"]);
    assert.partialDeepStrictEqual(
      containers.find(({ name }) => name === "c"),
      { env: container.env },
    );
  }),
  conforms("strategic-patch-deletes-by-key", async (api) => {
    const path = await statefulSet(api);
    const { containers } = podSpecOf(
      await api.patch(
        path,
        "strategic-merge",
        inTemplate({ containers: [{ name: "c", env: [{ name: "A", $patch: "delete" }] }] }),
      ),
    );
    assert.deepEqual(containers[0]?.env, [{ name: "B", value: "2" }]);
  }),
  conforms("strategic-patch-replaces-lists-without-key", async (api) => {
    const path = await statefulSet(api);
    const spec = podSpecOf(
      await api.patch(path, "strategic-merge", inTemplate({ tolerations: [{ key: "b" }] })),
    );
    assert.deepEqual(
      spec.tolerations?.map(({ key }) => key),
      ["b"],
    );
  }),
  conforms("strategic-patch-replace-directive", async (api) => {
    const path = await statefulSet(api);
    const { containers } = podSpecOf(
      await api.patch(
        path,
        "strategic-merge",
        inTemplate({ containers: [{ name: "c", env: [{ $patch: "replace" }, { name: "Z", value: "9" }] }] }),
      ),
    );
    assert.deepEqual(containers[0]?.env, [{ name: "Z", value: "9" }]);
  }),
  conforms("apply-creates-then-updates", async (api) => {
    const apply = await configMap(api);
    const first = await apply("one", { data: { a: "1" } });
    assert.equal(first.status, 201, first.text);
    const second = await apply("one", { data: { a: "2" } });
    assert.deepEqual([second.status, second.body.data], [200, { a: "2" }]);
  }),
  conforms("apply-without-change-keeps-the-version", async (api) => {
    const apply = await configMap(api);
    const first = await apply("one", { data: { a: "1" } });
    assert.equal(versionOf((await apply("one", { data: { a: "1" } })).body), versionOf(first.body));
  }),
  conforms("apply-takes-away-what-is-no-longer-applied", async (api) => {
    const apply = await configMap(api);
    await apply("one", { data: { a: "1", b: "2" } });
    assert.deepEqual((await apply("one", { data: { b: "2" } })).body.data, { b: "2" });
  }),
  conforms("apply-conflict", async (api) => {
    const apply = await configMap(api);
    await apply("one", { data: { a: "1" } });
    const answer = await apply("two", { data: { a: "2" } });
    isAnswer(answer, {
      status: 409,
      reason: "Conflict",
      message: 'Apply failed with 1 conflict: conflict with "one": .data.a',
      fields: [".data.a"],
    });
    assert.partialDeepStrictEqual(answer.body, {
      details: { causes: [{ reason: "FieldManagerConflict", message: 'conflict with "one"' }] },
    });
  }),
  conforms("apply-force-takes-ownership", async (api) => {
    const apply = await configMap(api);
    await apply("one", { data: { a: "1", b: "1" } });
    const { status, body } = await apply("two", { data: { a: "2" } }, "&force=true");
    assert.deepEqual([status, body.data], [200, { a: "2", b: "1" }]);
    // What it lost, the first one may leave out without taking it away.
    assert.deepEqual((await apply("one", { data: { b: "1" } })).body.data, { a: "2", b: "1" });
  }),
  conforms("apply-shares-equal-values", async (api) => {
    const apply = await configMap(api);
    await apply("one", { data: { a: "1" } });
    assert.equal((await apply("two", { data: { a: "1" } })).status, 200);
    assert.deepEqual((await apply("one", {})).body.data, { a: "1" });
  }),
  conforms("apply-managed-fields", async (api) => {
    const apply = await configMap(api);
    const { body } = await apply("one", { data: { a: "1" } });
    assert.partialDeepStrictEqual(metadataOf(body).managedFields, [
      {
        manager: "one",
        operation: "Apply",
        apiVersion: "v1",
        fieldsType: "FieldsV1",
        fieldsV1: { "f:data": { "f:a": {} } },
      },
    ]);
  }),
  conforms("apply-conflicts-with-an-update", async (api) => {
    const apply = await configMap(api);
    const { body } = await apply("one", { data: { a: "1" } });
    await api.put(`/api/v1/namespaces/${String(metadataOf(body).namespace)}/configmaps/a`, {
      ...body,
      data: { a: "3" },
    });
    isAnswer(await apply("one", { data: { a: "1" } }), {
      status: 409,
      reason: "Conflict",
      message: /^Apply failed with 1 conflict: conflict with "conformance" using v1( at \S+)?: \.data\.a$/,
    });
  }),
  conforms("apply-without-manager", async (api) => {
    isAnswer(
      await api.apply("/api/v1/namespaces/default/configmaps/never", {
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name: "never" },
      }),
      {
        status: 422,
        reason: "Invalid",
        message:
          'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
        fields: ["fieldManager"],
      },
    );
  }),
  conforms("apply-with-managed-fields", async (api) => {
    const apply = await configMap(api);
    isAnswer(await apply("one", { metadata: { name: "a", managedFields: [{}] } }), {
      status: 400,
      reason: "BadRequest",
      message: "metadata.managedFields must be nil",
    });
  }),
  conforms("apply-dry-run", async (api) => {
    const apply = await configMap(api);
    const { status, body } = await apply("one", { data: { a: "1" } }, "&dryRun=All");
    assert.deepEqual([status, nameOf(body)], [201, "a"]);
    const { status: after } = await api.get(
      `/api/v1/namespaces/${String(metadataOf(body).namespace)}/configmaps/a`,
    );
    assert.equal(after, 404);
  }),
  conforms("apply-lists-by-key", async (api) => {
    const path = `/apis/apps/v1/namespaces/${await api.namespace()}/statefulsets/s`;
    const body = (name: string): Json => ({
      apiVersion: "apps/v1",
      kind: "StatefulSet",
      ...workload("s"),
      spec: {
        ...(workload("s").spec as Json),
        replicas: 0,
        template: { metadata: { labels: { app: "s" } }, spec: { containers: [{ name, image: "i" }] } },
      },
    });
    assert.equal((await api.apply(`${path}?fieldManager=one`, body("c"))).status, 201);
    const { containers } = podSpecOf(await api.apply(`${path}?fieldManager=two`, body("d")));
    assert.deepEqual(containers.map(({ name }) => name).sort(), ["c", "d"]);
  }),
  conforms("status-is-written-by-its-subresource-only", async (api) => {
    const path = await statefulSet(api);
    const main = await api.patch(path, "merge", { status: { replicas: 7 } });
    assert.notEqual((main.body.status as Json).replicas, 7);
    const own = await api.patch(`${path}/status`, "merge", {
      spec: { replicas: 9 },
      status: { collisionCount: 4 },
    });
    assert.equal((own.body.status as Json).collisionCount, 4);
    assert.equal((own.body.spec as Json).replicas, 0);
  }),
  conforms("generation-counts-spec-only", async (api) => {
    const path = await statefulSet(api);
    const generation = async (patch: Json): Promise<unknown> =>
      metadataOf((await api.patch(path, "merge", patch)).body).generation;
    assert.equal(await generation({ metadata: { labels: { a: "1" } } }), 1);
    assert.equal(await generation(inTemplate({ terminationGracePeriodSeconds: 5 })), 2);
  }),
  conforms("scale-subresource", async (api) => {
    const path = await statefulSet(api);
    isAnswer(await api.get(`${path}/scale`), {
      status: 200,
      body: { kind: "Scale", apiVersion: "autoscaling/v1", spec: {}, status: { replicas: 0 } },
    });
  }),
];
