import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { arrayOf, at } from "./json.ts";
import { TestSession } from "./test-session.ts";

let session: TestSession;
before(async () => {
  session = await TestSession.start();
});
after(() => session[Symbol.asyncDispose]());

const maps = "/api/v1/namespaces/default/configmaps";

test("create: answers 201 with uid, resourceVersion, time and managed fields", async () => {
  const { status, body } = await session.post(maps, { metadata: { name: "created" }, data: { a: "b" } });
  assert.equal(status, 201);
  assert.match(String(at(body, "metadata", "uid")), /^[0-9a-f-]{36}$/);
  assert.match(String(at(body, "metadata", "resourceVersion")), /^\d+$/);
  assert.deepEqual(at(arrayOf(at(body, "metadata", "managedFields"))[0], "fieldsV1"), {
    "f:data": { ".": {}, "f:a": {} },
  });
});

test("create: a name that is taken is 409 AlreadyExists, a bad one 422, none 422, another namespace 400", async () => {
  await session.post(maps, { metadata: { name: "taken" } });
  const again = await session.post(maps, { metadata: { name: "taken" } });
  assert.deepEqual([again.status, again.body.reason], [409, "AlreadyExists"]);
  for (const metadata of [{ name: "B_b" }, {}, { name: "x", labels: { "a b": "c" } }]) {
    const bad = await session.post(maps, { metadata });
    assert.deepEqual([bad.status, bad.body.reason], [422, "Invalid"], JSON.stringify(metadata));
  }
  const other = await session.post(maps, { metadata: { name: "x", namespace: "elsewhere" } });
  assert.equal(other.status, 400);
});

test("create: in a namespace that does not exist is 404", async () => {
  const { status, body } = await session.post("/api/v1/namespaces/none/configmaps", {
    metadata: { name: "x" },
  });
  assert.deepEqual([status, body.message], [404, 'namespaces "none" not found']);
});

test("create: generateName gives each object a name of its own", async () => {
  const made = await Promise.all(
    [1, 2, 3].map(() => session.post(maps, { metadata: { generateName: "gen-" } })),
  );
  const names = new Set(made.map(({ body }) => String(at(body, "metadata", "name"))));
  assert.equal(names.size, 3);
  for (const name of names) assert.match(name, /^gen-[a-z0-9]{5}$/);
});

test("create: an unknown field is refused by Strict, told by Warn and dropped either way", async () => {
  const strict = await session.post(`${maps}?fieldValidation=Strict`, { metadata: { name: "s" }, datax: {} });
  assert.equal(strict.status, 400);
  assert.match(String(strict.body.message), /strict decoding error: unknown field "datax"/);
  const warn = await session.post(`${maps}?fieldValidation=Warn`, { metadata: { name: "w" }, datax: {} });
  assert.deepEqual([warn.status, warn.headers.warning], [201, '299 - "unknown field \\"datax\\""']);
  assert.equal(warn.body.datax, undefined);
});

test("update: a resourceVersion that is not the current one is 409 Conflict, none overwrites", async () => {
  const made = await session.post(maps, { metadata: { name: "cas" }, data: { n: "0" } });
  const first = await session.call("PUT", `${maps}/cas`, { body: { ...made.body, data: { n: "1" } } });
  assert.equal(first.status, 200);
  const stale = await session.call("PUT", `${maps}/cas`, { body: { ...made.body, data: { n: "2" } } });
  assert.deepEqual([stale.status, stale.body.reason], [409, "Conflict"]);
  const blind = await session.call("PUT", `${maps}/cas`, {
    body: { metadata: { name: "cas" }, data: { n: "3" } },
  });
  assert.deepEqual([blind.status, at(blind.body, "data", "n")], [200, "3"]);
});

test("update: nothing changed keeps the resourceVersion", async () => {
  const made = await session.post(maps, { metadata: { name: "same" }, data: { n: "0" } });
  const again = await session.call("PUT", `${maps}/same`, { body: made.body });
  assert.equal(at(again.body, "metadata", "resourceVersion"), at(made.body, "metadata", "resourceVersion"));
});

test("update: of a Lease without a resourceVersion is refused", async () => {
  const leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
  await session.post(leases, { metadata: { name: "l" }, spec: { holderIdentity: "a" } });
  const blind = await session.call("PUT", `${leases}/l`, { body: { metadata: { name: "l" } } });
  assert.equal(blind.status, 422);
});

test("dry run: nothing is stored by create, update, patch or delete", async () => {
  await session.post(`${maps}?dryRun=All`, { metadata: { name: "dry" } });
  assert.equal((await session.get(`${maps}/dry`)).status, 404);
  const { body } = await session.post(maps, { metadata: { name: "wet" }, data: { a: "1" } });
  await session.patch(`${maps}/wet?dryRun=All`, "merge", { data: { a: "2" } });
  await session.call("PUT", `${maps}/wet?dryRun=All`, { body: { metadata: { name: "wet" } } });
  await session.call("DELETE", `${maps}/wet?dryRun=All`);
  assert.deepEqual((await session.get(`${maps}/wet`)).body, body);
});

test("patch: JSON, merge and strategic patches change what they name", async () => {
  await session.post(maps, { metadata: { name: "p", labels: { a: "1" } }, data: { a: "1", b: "2" } });
  await session.patch(`${maps}/p`, "merge", { data: { a: null, c: "3" } });
  await session.patch(`${maps}/p`, "json", [
    { op: "test", path: "/data/b", value: "2" },
    { op: "replace", path: "/data/b", value: "4" },
  ]);
  const { body } = await session.patch(`${maps}/p`, "strategic-merge", { metadata: { labels: { a: null } } });
  assert.deepEqual([body.data, at(body, "metadata", "labels")], [{ b: "4", c: "3" }, undefined]);
});

test("patch: a failed test, another name and another media type are refused", async () => {
  await session.post(maps, { metadata: { name: "pr" }, data: { a: "1" } });
  const failed = await session.patch(`${maps}/pr`, "json", [{ op: "test", path: "/data/a", value: "2" }]);
  assert.equal(failed.status, 422);
  const renamed = await session.patch(`${maps}/pr`, "merge", { metadata: { name: "other" } });
  assert.equal(renamed.status, 400);
  const type = await session.call("PATCH", `${maps}/pr`, {
    body: {},
    headers: { "content-type": "text/plain" },
  });
  assert.equal(type.status, 415);
});

test("delete: finalizers hold the object until the last one is taken off", async () => {
  await session.post(maps, { metadata: { name: "held", finalizers: ["example.com/x"] } });
  const marked = await session.call("DELETE", `${maps}/held`);
  assert.equal(typeof at(marked.body, "metadata", "deletionTimestamp"), "string");
  const more = await session.patch(`${maps}/held`, "merge", {
    metadata: { finalizers: ["example.com/x", "example.com/y"] },
  });
  assert.equal(more.status, 422);
  await session.patch(`${maps}/held`, "merge", { metadata: { finalizers: null } });
  assert.equal((await session.get(`${maps}/held`)).status, 404);
});

test("delete: preconditions that do not hold are 409", async () => {
  await session.post(maps, { metadata: { name: "pre" } });
  for (const preconditions of [{ uid: "x" }, { resourceVersion: "1" }]) {
    const { status } = await session.call("DELETE", `${maps}/pre`, { body: { preconditions } });
    assert.equal(status, 409, JSON.stringify(preconditions));
  }
});

test("delete: a pod on a node waits for its grace period, then a delete without grace removes it", async () => {
  const pods = "/api/v1/namespaces/default/pods";
  await session.until(
    "the default service account",
    "/api/v1/namespaces/default/serviceaccounts/default",
    (answer) => answer.status === 200,
  );
  const spec = { nodeName: "n", containers: [{ name: "c", image: "i" }] };
  assert.equal((await session.post(pods, { metadata: { name: "graceful" }, spec })).status, 201);
  const marked = await session.call("DELETE", `${pods}/graceful`);
  assert.equal(at(marked.body, "metadata", "deletionGracePeriodSeconds"), 30);
  assert.equal((await session.get(`${pods}/graceful`)).status, 200);
  await session.call("DELETE", `${pods}/graceful`, { body: { gracePeriodSeconds: 0 } });
  assert.equal((await session.get(`${pods}/graceful`)).status, 404);
});

test("deletecollection: only what the selector matches goes", async () => {
  for (const name of ["dc1", "dc2", "dc3"])
    await session.post(maps, { metadata: { name, labels: { dc: name === "dc2" ? "keep" : "go" } } });
  const { status } = await session.call("DELETE", `${maps}?labelSelector=dc%3Dgo`);
  assert.equal(status, 200);
  const left = await session.get(`${maps}?labelSelector=dc`);
  assert.deepEqual(
    arrayOf(left.body.items).map((each) => at(each, "metadata", "name")),
    ["dc2"],
  );
});

test("status: a write of the main resource keeps the status, one of the subresource keeps the spec", async () => {
  const sets = "/apis/apps/v1/namespaces/default/statefulsets";
  const template = {
    metadata: { labels: { app: "x" } },
    spec: { containers: [{ name: "c", image: "i" }] },
  };
  const spec = { serviceName: "x", selector: { matchLabels: { app: "x" } }, template };
  const made = await session.post(sets, { metadata: { name: "st" }, spec, status: { readyReplicas: 9 } });
  assert.deepEqual(
    [at(made.body, "metadata", "generation"), at(made.body, "status", "readyReplicas")],
    [1, undefined],
  );
  const status = await session.patch(`${sets}/st/status`, "merge", {
    spec: { replicas: 7 },
    status: { replicas: 1 },
  });
  assert.deepEqual([at(status.body, "spec", "replicas"), at(status.body, "status", "replicas")], [1, 1]);
  assert.equal(at(status.body, "metadata", "generation"), 1);
  const scaled = await session.patch(`${sets}/st/scale`, "merge", { spec: { replicas: 3 } });
  assert.equal(at(scaled.body, "spec", "replicas"), 3);
  const read = await session.get(`${sets}/st`);
  assert.deepEqual([at(read.body, "metadata", "generation"), at(read.body, "status", "replicas")], [2, 1]);
});

test("paths: what is not served is 404, a method that does not fit 405, an unknown encoding 415 or 406", async () => {
  const cases: readonly (readonly [method: string, path: string, status: number])[] = [
    ["GET", "/api/v1/replicationcontrollers", 404],
    ["GET", "/apis/none.example.com/v1/things", 404],
    ["GET", `${maps}/created/nothing`, 404],
    ["GET", "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies", 404],
    ["POST", `${maps}/created`, 405],
    ["PUT", maps, 405],
    ["DELETE", "/api/v1/namespaces", 405],
    ["GET", "/nothing", 404],
  ];
  for (const [method, path, status] of cases) {
    const body = method === "GET" ? undefined : {};
    const answer = await session.call(method, path, body === undefined ? {} : { body });
    assert.equal(answer.status, status, `${method} ${path}`);
  }
  const cbor = await session.call("POST", maps, {
    body: "x",
    headers: { "content-type": "application/cbor" },
  });
  assert.equal(cbor.status, 415);
  const accept = await session.call("GET", maps, { headers: { accept: "application/cbor" } });
  assert.equal(accept.status, 406);
});

test("garbage collection: dependents go after their owner, unless they are orphaned", async () => {
  const owner = await session.post(maps, { metadata: { name: "owner" } });
  const orphaner = await session.post(maps, { metadata: { name: "orphaner" } });
  const reference = (name: string, uid: unknown) => [{ apiVersion: "v1", kind: "ConfigMap", name, uid }];
  const [uid, otherUid] = [at(owner.body, "metadata", "uid"), at(orphaner.body, "metadata", "uid")];
  await session.post(maps, { metadata: { name: "child", ownerReferences: reference("owner", uid) } });
  await session.post(maps, { metadata: { name: "left", ownerReferences: reference("orphaner", otherUid) } });
  await session.call("DELETE", `${maps}/owner`);
  await session.call("DELETE", `${maps}/orphaner?propagationPolicy=Orphan`);
  await session.until("the dependent's end", `${maps}/child`, ({ status }) => status === 404);
  await session.until("the orphaner's end", `${maps}/orphaner`, ({ status }) => status === 404);
  const left = await session.get(`${maps}/left`);
  assert.deepEqual([left.status, at(left.body, "metadata", "ownerReferences")], [200, undefined]);
});

test("garbage collection: in the foreground the owner goes last", async () => {
  const owner = await session.post(maps, { metadata: { name: "fg" } });
  const ownerReferences = [
    {
      apiVersion: "v1",
      kind: "ConfigMap",
      name: "fg",
      uid: at(owner.body, "metadata", "uid"),
      blockOwnerDeletion: true,
    },
  ];
  await session.post(maps, {
    metadata: { name: "fg-child", ownerReferences, finalizers: ["example.com/wait"] },
  });
  await session.call("DELETE", `${maps}/fg?propagationPolicy=Foreground`);
  await session.until(
    "the child marked",
    `${maps}/fg-child`,
    ({ body }) => at(body, "metadata", "deletionTimestamp") !== undefined,
  );
  assert.equal((await session.get(`${maps}/fg`)).status, 200);
  await session.patch(`${maps}/fg-child`, "merge", { metadata: { finalizers: null } });
  await session.until("the owner's end", `${maps}/fg`, ({ status }) => status === 404);
});

test("namespaces: a deleted one takes its content along and takes no new one meanwhile", async () => {
  await session.post("/api/v1/namespaces", { metadata: { name: "leaving" } });
  const inside = "/api/v1/namespaces/leaving/configmaps";
  await session.until("the root CA", `${inside}/kube-root-ca.crt`, ({ status }) => status === 200);
  await session.post(inside, { metadata: { name: "held", finalizers: ["example.com/x"] } });
  const marked = await session.call("DELETE", "/api/v1/namespaces/leaving");
  assert.equal(at(marked.body, "status", "phase"), "Terminating");
  await session.until(
    "the content marked",
    `${inside}/held`,
    ({ body }) => at(body, "metadata", "deletionTimestamp") !== undefined,
  );
  const refused = await session.post(inside, { metadata: { name: "late" } });
  assert.equal(refused.status, 403);
  assert.match(String(refused.body.message), /because it is being terminated/);
  await session.patch(`${inside}/held`, "merge", { metadata: { finalizers: null } });
  await session.until("the namespace's end", "/api/v1/namespaces/leaving", ({ status }) => status === 404);
});

test("delete: a propagation or dry run that does not exist deletes nothing", async () => {
  await session.post(maps, { metadata: { name: "kept" } });
  for (const query of [
    "propagationPolicy=Bad",
    "dryRun=Some",
    "propagationPolicy=Orphan&orphanDependents=true",
  ])
    assert.equal((await session.call("DELETE", `${maps}/kept?${query}`)).status, 422, query);
  assert.equal((await session.get(`${maps}/kept`)).status, 200);
});
