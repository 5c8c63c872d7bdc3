import assert from "node:assert/strict";
import {
  type ConformanceCase,
  conforms,
  isAnswer,
  metadataOf,
  nameOf,
  namesOf,
  rows,
  versionOf,
} from "../case.ts";
import type { Answer, Api, Json } from "../client.ts";

const secrets = "/api/v1/namespaces/default/secrets";

/** A new secret "a" in a namespace of its own. */
async function one(api: Api, metadata: Json = {}): Promise<{ path: string; object: Json }> {
  const path = `/api/v1/namespaces/${await api.namespace()}/secrets`;
  return {
    path,
    object: await api.made(path, { metadata: { name: "a", ...metadata }, stringData: { k: "v" } }),
  };
}

const isGone = async (api: Api, path: string): Promise<void> =>
  assert.equal((await api.get(path)).status, 404);

const modified =
  "the object has been modified; please apply your changes to the latest version and try again";
const named = (metadata: Json = {}): { body: Json } => ({
  body: { metadata: { name: "never", ...metadata } },
});

export const writeCases: readonly ConformanceCase[] = [
  ...rows([
    {
      id: "create-without-name",
      ask: ["POST", secrets],
      options: { body: { metadata: {} } },
      status: 422,
      reason: "Invalid",
      message: 'Secret "" is invalid: metadata.name: Required value: name or generateName is required',
      fields: ["metadata.name"],
    },
    {
      id: "create-bad-name",
      ask: ["POST", secrets],
      options: { body: { metadata: { name: "Bad_Name" } } },
      status: 422,
      reason: "Invalid",
      message:
        /^Secret "Bad_Name" is invalid: metadata\.name: Invalid value: "Bad_Name": a lowercase RFC 1123 subdomain must/,
      fields: ["metadata.name"],
    },
    {
      id: "create-bad-label-key",
      ask: ["POST", secrets],
      options: named({ labels: { "a b": "c" } }),
      status: 422,
      reason: "Invalid",
      message: /metadata\.labels: Invalid value: "a b": name part must consist of/,
    },
    {
      id: "create-with-version",
      ask: ["POST", secrets],
      options: named({ resourceVersion: "5" }),
      status: 500,
      reason: "",
      message: "resourceVersion should not be set on objects to be created",
    },
    {
      id: "create-other-namespace",
      ask: ["POST", secrets],
      options: named({ namespace: "other" }),
      status: 400,
      reason: "BadRequest",
      message: "the namespace of the provided object does not match the namespace sent on the request",
    },
    {
      id: "create-absent-namespace",
      ask: ["POST", "/api/v1/namespaces/nowhere-2/secrets"],
      options: named(),
      status: 404,
      reason: "NotFound",
      message: 'namespaces "nowhere-2" not found',
      body: { details: { name: "nowhere-2", kind: "namespaces" } },
    },
    {
      id: "create-other-kind",
      ask: ["POST", secrets],
      options: { body: { kind: "ConfigMap", apiVersion: "v1", metadata: { name: "never" } } },
      status: 400,
      reason: "BadRequest",
      message: /^ConfigMap in version "v1" cannot be handled as a Secret: /,
    },
    {
      id: "create-other-version",
      ask: ["POST", secrets],
      options: { body: { kind: "Secret", apiVersion: "v2", metadata: { name: "never" } } },
      status: 400,
      reason: "BadRequest",
    },
    {
      id: "create-no-json",
      ask: ["POST", secrets],
      options: { body: "{bad" },
      status: 400,
      reason: "BadRequest",
      message: /couldn't get version\/kind; json parse error: /,
    },
    {
      id: "create-empty-body",
      ask: ["POST", secrets],
      options: { body: "" },
      status: 400,
      reason: "BadRequest",
      message: /couldn't get version\/kind; json parse error: /,
    },
    {
      id: "create-array",
      ask: ["POST", secrets],
      options: { body: "[]" },
      status: 400,
      reason: "BadRequest",
    },
    {
      id: "create-wrong-type",
      ask: ["POST", secrets],
      options: { body: { metadata: { name: 5 } } },
      status: 400,
      reason: "BadRequest",
      message:
        /^Secret in version "v1" cannot be handled as a Secret: json: cannot unmarshal number into Go struct field \w+\.metadata\.name of type string$/,
    },
    {
      id: "create-strict-unknown-field",
      ask: ["POST", `${secrets}?fieldValidation=Strict`],
      options: { body: { metadata: { name: "never", foo: 1 } } },
      status: 400,
      reason: "BadRequest",
      message:
        'Secret in version "v1" cannot be handled as a Secret: strict decoding error: unknown field "metadata.foo"',
    },
    {
      id: "create-warn-unknown-field",
      ask: ["POST", `${secrets}?fieldValidation=Warn&dryRun=All`],
      options: { body: { metadata: { name: "never", foo: 1 } } },
      status: 201,
      headers: { warning: '299 - "unknown field \\"metadata.foo\\""' },
    },
    {
      id: "create-warns-by-default",
      ask: ["POST", `${secrets}?dryRun=All`],
      options: { body: { metadata: { name: "never", foo: 1 } } },
      status: 201,
      headers: { warning: '299 - "unknown field \\"metadata.foo\\""' },
    },
    {
      id: "create-ignore-unknown-field",
      ask: ["POST", `${secrets}?fieldValidation=Ignore&dryRun=All`],
      options: { body: { metadata: { name: "never", foo: 1 } } },
      status: 201,
      headers: { warning: null },
    },
    {
      id: "create-bad-field-validation",
      ask: ["POST", `${secrets}?fieldValidation=Bad`],
      options: named(),
      status: 422,
      reason: "Invalid",
      message:
        'CreateOptions.meta.k8s.io "" is invalid: fieldValidation: Unsupported value: "Bad": supported values: "", "Ignore", "Strict", "Warn"',
      fields: ["fieldValidation"],
    },
    {
      id: "create-bad-dry-run",
      ask: ["POST", `${secrets}?dryRun=Some`],
      options: named(),
      status: 422,
      reason: "Invalid",
      message:
        'CreateOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: ["Some"]: supported values: "All"',
      fields: ["dryRun"],
    },
    {
      id: "create-bad-finalizer",
      ask: ["POST", secrets],
      options: named({ finalizers: ["x"] }),
      status: 422,
      reason: "Invalid",
      message:
        /metadata\.finalizers\[0\]: Invalid value: "x": name is neither a standard finalizer name nor is it fully qualified$/,
    },
    {
      id: "create-as-text",
      ask: ["POST", secrets],
      options: { body: "x", headers: { "content-type": "text/plain" } },
      status: 415,
      reason: "UnsupportedMediaType",
      message:
        "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf",
    },
    {
      id: "create-as-cbor-with-its-gate-off",
      ask: ["POST", secrets],
      options: { body: "x", headers: { "content-type": "application/cbor" } },
      status: 415,
      reason: "UnsupportedMediaType",
    },
    {
      id: "create-as-yaml",
      ask: ["POST", `${secrets}?dryRun=All`],
      options: {
        body: "apiVersion: v1\nkind: Secret\nmetadata: {name: never}\n",
        headers: { "content-type": "application/yaml" },
      },
      status: 201,
      body: { kind: "Secret", metadata: { name: "never" } },
    },
    {
      id: "create-dry-run-stored-nothing",
      ask: ["GET", `${secrets}/never`],
      status: 404,
      reason: "NotFound",
    },
    {
      id: "update-absent",
      ask: ["PUT", `${secrets}/nowhere`],
      options: { body: { metadata: { name: "nowhere" } } },
      status: 404,
      reason: "NotFound",
      message: 'secrets "nowhere" not found',
      body: { details: { name: "nowhere", kind: "secrets" } },
    },
    {
      id: "delete-absent",
      ask: ["DELETE", `${secrets}/nowhere`],
      status: 404,
      reason: "NotFound",
      message: 'secrets "nowhere" not found',
    },
  ]),
  conforms("create-answers-the-object", async (api) => {
    const { object } = await one(api, {
      uid: "mine",
      creationTimestamp: "2001-01-01T00:00:00Z",
      labels: { l: "1" },
    });
    assert.partialDeepStrictEqual(object, {
      kind: "Secret",
      apiVersion: "v1",
      type: "Opaque",
      data: { k: "dg==" },
    });
    const { uid, creationTimestamp, resourceVersion } = metadataOf(object);
    assert.match(String(uid), /^[0-9a-f-]{36}$/);
    assert.match(String(creationTimestamp), /^20[2-9]\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    assert.match(String(resourceVersion), /^[1-9]\d*$/);
    assert.ok(!("stringData" in object));
  }),
  conforms("create-generates-a-name", async (api) => {
    const { path } = await one(api);
    const { body } = await api.post(path, { metadata: { generateName: "gen-" } });
    assert.match(nameOf(body), /^gen-[a-z0-9]{5}$/);
  }),
  conforms("create-twice", async (api) => {
    const { path } = await one(api);
    isAnswer(await api.post(path, { metadata: { name: "a" } }), {
      status: 409,
      reason: "AlreadyExists",
      message: 'secrets "a" already exists',
      body: { details: { name: "a", kind: "secrets" } },
    });
  }),
  conforms("create-writes-managed-fields", async (api) => {
    const { object } = await one(api, { labels: { l: "1" } });
    assert.partialDeepStrictEqual(metadataOf(object).managedFields, [
      {
        manager: "conformance",
        operation: "Update",
        apiVersion: "v1",
        fieldsType: "FieldsV1",
        fieldsV1: { "f:metadata": { "f:labels": { ".": {}, "f:l": {} } }, "f:type": {} },
      },
    ]);
  }),
  conforms("update-with-its-version", async (api) => {
    const { path, object } = await one(api);
    const next = { ...object, metadata: { ...metadataOf(object), labels: { x: "1" } } };
    const answer = await api.put(`${path}/a`, next);
    assert.equal(answer.status, 200);
    assert.ok(BigInt(versionOf(answer.body)) > BigInt(versionOf(object)));
    isAnswer(await api.put(`${path}/a`, next), {
      status: 409,
      reason: "Conflict",
      message: `Operation cannot be fulfilled on secrets "a": ${modified}`,
      body: { details: { name: "a", kind: "secrets" } },
    });
  }),
  conforms("update-without-version-wins", async (api) => {
    const { path } = await one(api);
    const { status, body } = await api.put(`${path}/a`, { metadata: { name: "a" }, stringData: { k: "w" } });
    assert.deepEqual([status, body.data], [200, { k: "dw==" }]);
  }),
  conforms("update-that-changes-nothing-keeps-the-version", async (api) => {
    const { path, object } = await one(api);
    assert.equal(versionOf((await api.put(`${path}/a`, object)).body), versionOf(object));
  }),
  conforms("update-of-another-uid", async (api) => {
    const { path } = await one(api);
    isAnswer(await api.put(`${path}/a`, { metadata: { name: "a", uid: "other" } }), {
      status: 409,
      reason: "Conflict",
      message: /Precondition failed: UID in precondition: other, UID in object meta: /,
    });
  }),
  conforms("update-of-another-name", async (api) => {
    const { path } = await one(api);
    isAnswer(await api.put(`${path}/a`, { metadata: { name: "b" } }), {
      status: 400,
      reason: "BadRequest",
      message: "the name of the object (b) does not match the name on the URL (a)",
    });
  }),
  conforms("update-of-an-immutable-field", async (api) => {
    const { path } = await one(api);
    isAnswer(await api.put(`${path}/a`, { metadata: { name: "a" }, type: "other" }), {
      status: 422,
      reason: "Invalid",
      message: 'Secret "a" is invalid: type: Invalid value: "other": field is immutable',
      fields: ["type"],
    });
  }),
  conforms("update-dry-run", async (api) => {
    const { path, object } = await one(api);
    const { body } = await api.put(`${path}/a?dryRun=All`, { metadata: { name: "a", labels: { dry: "1" } } });
    assert.partialDeepStrictEqual(body, { metadata: { labels: { dry: "1" } } });
    assert.equal(versionOf((await api.get(`${path}/a`)).body), versionOf(object));
  }),
  conforms("update-cannot-remove-the-uid-or-birth", async (api) => {
    const { path, object } = await one(api);
    const { body } = await api.put(`${path}/a`, { metadata: { name: "a" } });
    assert.equal(metadataOf(body).uid, metadataOf(object).uid);
    assert.equal(metadataOf(body).creationTimestamp, metadataOf(object).creationTimestamp);
  }),
  conforms("delete-answers-success", async (api) => {
    const { path, object } = await one(api);
    const answer = await api.delete(`${path}/a`);
    isAnswer(answer, { status: 200 });
    assert.deepEqual(answer.body, {
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      status: "Success",
      details: { name: "a", kind: "secrets", uid: metadataOf(object).uid },
    });
    await isGone(api, `${path}/a`);
  }),
  conforms("delete-precondition-uid", async (api) => {
    const { path, object } = await one(api);
    isAnswer(await api.delete(`${path}/a`, { preconditions: { uid: "x" } }), {
      status: 409,
      reason: "Conflict",
      message: `Operation cannot be fulfilled on Secret "a": the UID in the precondition (x) does not match the UID in record (${metadataOf(object).uid}). The object might have been deleted and then recreated`,
      body: { details: { name: "a", kind: "Secret" } },
    });
    assert.equal(
      (await api.delete(`${path}/a`, { preconditions: { uid: metadataOf(object).uid } })).status,
      200,
    );
  }),
  conforms("delete-precondition-version", async (api) => {
    const { path, object } = await one(api);
    isAnswer(await api.delete(`${path}/a`, { preconditions: { resourceVersion: "1" } }), {
      status: 409,
      reason: "Conflict",
      message: /the ResourceVersion in the precondition \(1\) does not match the ResourceVersion in record/,
    });
    assert.equal(
      (await api.delete(`${path}/a`, { preconditions: { resourceVersion: versionOf(object) } })).status,
      200,
    );
  }),
  conforms("delete-dry-run", async (api) => {
    const { path } = await one(api);
    for (const answer of [
      await api.call("DELETE", `${path}/a?dryRun=All`),
      await api.delete(`${path}/a`, { dryRun: ["All"] }),
    ])
      isAnswer(answer, { status: 200, body: { status: "Success" } });
    assert.equal((await api.get(`${path}/a`)).status, 200);
  }),
  ...(["query", "body"] as const).map((where) =>
    conforms(`delete-bad-propagation-in-${where}`, async (api) => {
      const { path } = await one(api);
      const answer =
        where === "query"
          ? await api.call("DELETE", `${path}/a?propagationPolicy=Bad`)
          : await api.delete(`${path}/a`, { propagationPolicy: "Bad" });
      isAnswer(answer, {
        status: 422,
        reason: "Invalid",
        message:
          'DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Unsupported value: "Bad": supported values: "Foreground", "Background", "Orphan", "nil"',
        fields: ["propagationPolicy"],
      });
      assert.equal((await api.get(`${path}/a`)).status, 200);
    }),
  ),
  conforms("delete-two-propagations", async (api) => {
    const { path } = await one(api);
    isAnswer(await api.delete(`${path}/a`, { propagationPolicy: "Orphan", orphanDependents: true }), {
      status: 422,
      reason: "Invalid",
      message:
        /: propagationPolicy: Invalid value: "Orphan": orphanDependents and deletionPropagation cannot be both set$/,
      fields: ["propagationPolicy"],
    });
  }),
  conforms("delete-bad-dry-run", async (api) => {
    const { path } = await one(api);
    isAnswer(await api.call("DELETE", `${path}/a?dryRun=Some`), {
      status: 422,
      reason: "Invalid",
      fields: ["dryRun"],
    });
    assert.equal((await api.get(`${path}/a`)).status, 200);
  }),
  conforms("finalizer-holds-the-object", async (api) => {
    const { path, object } = await one(api, { finalizers: ["example.com/x"] });
    const first = await api.delete(`${path}/a`);
    isAnswer(first, { status: 200, body: { kind: "Secret" } });
    assert.partialDeepStrictEqual(metadataOf(first.body), {
      deletionGracePeriodSeconds: 0,
      finalizers: ["example.com/x"],
    });
    assert.match(String(metadataOf(first.body).deletionTimestamp), /Z$/);
    assert.ok(BigInt(versionOf(first.body)) > BigInt(versionOf(object)));
    const second = await api.delete(`${path}/a`);
    assert.equal(versionOf(second.body), versionOf(first.body));
    isAnswer(
      await api.patch(`${path}/a`, "merge", { metadata: { finalizers: ["example.com/x", "example.com/y"] } }),
      {
        status: 422,
        reason: "Invalid",
        message:
          /no new finalizers can be added if the object is being deleted, found new finalizers \[\]string\{"example\.com\/y"\}/,
      },
    );
    const undelete = await api.patch(`${path}/a`, "merge", { metadata: { deletionTimestamp: null } });
    assert.equal(metadataOf(undelete.body).deletionTimestamp, metadataOf(first.body).deletionTimestamp);
    const last = await api.patch(`${path}/a`, "merge", { metadata: { finalizers: null } });
    isAnswer(last, { status: 200, body: { kind: "Secret" } });
    await isGone(api, `${path}/a`);
  }),
  conforms("finalizer-watchers-see-modified-then-deleted", async (api) => {
    const { path, object } = await one(api, { finalizers: ["example.com/x"] });
    using watch = api.watch(`${path}?watch=1&resourceVersion=${versionOf(object)}`);
    await api.delete(`${path}/a`);
    await api.patch(`${path}/a`, "json", [{ op: "remove", path: "/metadata/finalizers" }]);
    assert.deepEqual(await watch.names(2), ["MODIFIED a", "DELETED a"]);
  }),
  conforms("delete-orphan-takes-the-owner-away-and-keeps-the-child", async (api) => {
    const { path, object } = await one(api);
    const owner = { apiVersion: "v1", kind: "Secret", name: "a", uid: metadataOf(object).uid };
    await api.made(path, { metadata: { name: "child", ownerReferences: [owner] } });
    assert.equal((await api.call("DELETE", `${path}/a?propagationPolicy=Orphan`)).status, 200);
    await api.until("owner gone", `${path}/a`, ({ status }) => status === 404);
    const child = await api.get(`${path}/child`);
    assert.deepEqual([child.status, metadataOf(child.body).ownerReferences ?? []], [200, []]);
  }),
  conforms("delete-foreground-marks-the-owner", async (api) => {
    const { path, object } = await one(api, { finalizers: ["example.com/hold"] });
    const { body } = await api.call("DELETE", `${path}/a?propagationPolicy=Foreground`);
    assert.ok((metadataOf(body).finalizers as string[]).includes("foregroundDeletion"));
    assert.notEqual(versionOf(body), versionOf(object));
  }),
  conforms("delete-background-takes-the-children-along", async (api) => {
    const { path, object } = await one(api);
    const owner = { apiVersion: "v1", kind: "Secret", name: "a", uid: metadataOf(object).uid };
    await api.made(path, { metadata: { name: "child", ownerReferences: [owner] } });
    await api.call("DELETE", `${path}/a?propagationPolicy=Background`);
    await api.until("child gone", `${path}/child`, ({ status }) => status === 404);
  }),
  conforms("deletecollection-answers-the-list-of-what-went", async (api) => {
    const { path } = await one(api, { labels: { d: "1" } });
    for (const [name, d] of [
      ["b", "1"],
      ["c", "2"],
    ] as const)
      await api.made(path, { metadata: { name, labels: { d } } });
    const dry = await api.call("DELETE", `${path}?labelSelector=d%3D1&dryRun=All`);
    assert.deepEqual([dry.body.kind, namesOf(dry)], ["SecretList", ["a", "b"]]);
    const answer = await api.call("DELETE", `${path}?labelSelector=d%3D1`);
    assert.deepEqual([answer.body.kind, namesOf(answer)], ["SecretList", ["a", "b"]]);
    assert.deepEqual(namesOf(await api.get(path)), ["c"]);
  }),
  conforms("deletecollection-by-field", async (api) => {
    const { path } = await one(api);
    await api.made(path, { metadata: { name: "b" } });
    assert.deepEqual(namesOf(await api.call("DELETE", `${path}?fieldSelector=metadata.name%3Db`)), ["b"]);
    assert.deepEqual(namesOf(await api.get(path)), ["a"]);
  }),
  conforms("deletecollection-respects-finalizers", async (api) => {
    const { path } = await one(api, { finalizers: ["example.com/x"] });
    assert.deepEqual(namesOf(await api.call("DELETE", path)), ["a"]);
    const { body } = await api.get(`${path}/a`);
    assert.ok(metadataOf(body).deletionTimestamp !== undefined);
  }),
  ...(
    [
      ["Table", "Table"],
      ["PartialObjectMetadataList", "PartialObjectMetadataList"],
    ] as const
  ).map(([as, kind]) =>
    conforms(`deletecollection-as-${as}`, async (api) => {
      const { path } = await one(api);
      const answer = await api.call("DELETE", path, {
        headers: { accept: `application/json;as=${as};v=v1;g=meta.k8s.io` },
      });
      isAnswer(answer, { status: 200, body: { kind } });
    }),
  ),
  conforms("deletecollection-with-bad-propagation", async (api) => {
    const { path } = await one(api);
    isAnswer(await api.call("DELETE", `${path}?propagationPolicy=Bad`), {
      status: 422,
      reason: "Invalid",
      fields: ["propagationPolicy"],
    });
    assert.deepEqual(namesOf(await api.get(path)), ["a"]);
  }),
  conforms("immutable-secret", async (api) => {
    const path = `/api/v1/namespaces/${await api.namespace()}/secrets`;
    await api.made(path, { metadata: { name: "a" }, immutable: true, stringData: { a: "1" } });
    isAnswer(await api.patch(`${path}/a`, "merge", { stringData: { a: "2" } }), {
      status: 422,
      reason: "Invalid",
      message: 'Secret "a" is invalid: data: Forbidden: field is immutable when `immutable` is set',
      fields: ["data"],
    });
  }),
  conforms("lease-takeover-by-two-has-one-winner", async (api) => {
    const path = `/apis/coordination.k8s.io/v1/namespaces/${await api.namespace()}/leases`;
    const lease = await api.made(path, {
      metadata: { name: "l" },
      spec: { holderIdentity: "none", leaseDurationSeconds: 15 },
    });
    const take = (holder: string): Promise<Answer> =>
      api.put(`${path}/l`, {
        ...lease,
        spec: { holderIdentity: holder, leaseDurationSeconds: 15, renewTime: "2026-01-01T00:00:00.000001Z" },
      });
    const answers = await Promise.all(["x", "y", "z"].map(take));
    assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 409, 409]);
    const loser = answers.find(({ status }) => status === 409);
    assert.ok(loser !== undefined);
    isAnswer(loser, {
      status: 409,
      reason: "Conflict",
      message: `Operation cannot be fulfilled on leases.coordination.k8s.io "l": ${modified}`,
      body: { details: { name: "l", group: "coordination.k8s.io", kind: "leases" } },
    });
    const { body } = await api.get(`${path}/l`);
    assert.equal((body.spec as Json).renewTime, "2026-01-01T00:00:00.000001Z");
  }),
  conforms("lease-bad-duration", async (api) => {
    const path = `/apis/coordination.k8s.io/v1/namespaces/${await api.namespace()}/leases`;
    isAnswer(await api.post(path, { metadata: { name: "l" }, spec: { leaseDurationSeconds: 0 } }), {
      status: 422,
      reason: "Invalid",
      message:
        'Lease.coordination.k8s.io "l" is invalid: spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0',
      fields: ["spec.leaseDurationSeconds"],
    });
  }),
];
