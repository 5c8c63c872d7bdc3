import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:http2";
import { gunzipSync } from "node:zlib";
import { type ConformanceCase, conforms, isAnswer, metadataOf, namesOf, type Row, rows } from "../case.ts";
import type { Json } from "../client.ts";

const secrets = "/api/v1/namespaces/default/secrets";
const noResource = "the server could not find the requested resource";
const noMethod = "the server does not allow this method on the requested resource";
const plainNotFound = {
  status: 404,
  text: "404 page not found\n",
  headers: { "content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff" },
};
const accept = (type: string) => ({ headers: { accept: type } });
const protobuf = "application/vnd.kubernetes.protobuf";
const jsonOnly =
  "prints JSON only: Go clients that ask for protobuf accept JSON too, and those that do not are tested against the real one";
const strictPaths = "shares the proxy's parser, which refuses paths that two servers could read in two ways";

const notFound: readonly (readonly [id: string, method: string, path: string])[] = [
  ["unknown-version", "GET", "/apis/apps/v9/statefulsets"],
  ["unknown-core-version", "GET", "/api/v9"],
  ["unknown-resource", "GET", "/api/v1/things"],
  ["unknown-subresource", "GET", `${secrets}/a/nope`],
  ["cluster-scoped-in-a-namespace", "GET", "/api/v1/namespaces/default/nodes"],
];

const notAllowed: readonly (readonly [id: string, method: string, path: string])[] = [
  ["create-without-namespace", "POST", "/api/v1/secrets"],
  ["put-collection", "PUT", secrets],
  ["post-name", "POST", `${secrets}/a`],
  ["patch-collection", "PATCH", secrets],
  ["get-review", "GET", "/apis/authentication.k8s.io/v1/tokenreviews"],
  ["deletecollection-of-namespaces", "DELETE", "/api/v1/namespaces"],
  ["unknown-method", "PURGE", secrets],
  ["options", "OPTIONS", secrets],
  ["post-version", "POST", "/version"],
];

const documents: readonly Row[] = [
  {
    id: "discovery-core",
    ask: ["GET", "/api"],
    status: 200,
    body: { kind: "APIVersions", versions: ["v1"] },
  },
  {
    id: "discovery-core-resources",
    ask: ["GET", "/api/v1"],
    status: 200,
    body: { kind: "APIResourceList", groupVersion: "v1" },
  },
  {
    id: "discovery-groups",
    ask: ["GET", "/apis"],
    status: 200,
    body: { kind: "APIGroupList", apiVersion: "v1" },
  },
  {
    id: "discovery-group",
    ask: ["GET", "/apis/apps"],
    status: 200,
    body: { kind: "APIGroup", name: "apps", preferredVersion: { groupVersion: "apps/v1", version: "v1" } },
  },
  {
    id: "discovery-version",
    ask: ["GET", "/apis/coordination.k8s.io/v1"],
    status: 200,
    body: { kind: "APIResourceList", groupVersion: "coordination.k8s.io/v1" },
  },
  {
    id: "discovery-aggregated-core",
    ask: ["GET", "/api"],
    options: accept("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"),
    status: 200,
    headers: { "content-type": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList" },
    body: { kind: "APIGroupDiscoveryList", apiVersion: "apidiscovery.k8s.io/v2" },
  },
  {
    id: "discovery-aggregated-groups",
    ask: ["GET", "/apis"],
    options: accept(
      "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;q=0.9",
    ),
    status: 200,
    headers: { "content-type": /as=APIGroupDiscoveryList/ },
    body: { kind: "APIGroupDiscoveryList" },
  },
  {
    id: "discovery-aggregated-of-a-gone-version",
    ask: ["GET", "/apis"],
    options: accept(
      "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json;q=0.9",
    ),
    status: 200,
    headers: { "content-type": "application/json" },
    body: { kind: "APIGroupList" },
  },
  {
    id: "openapi-v3-root",
    ask: ["GET", "/openapi/v3"],
    status: 200,
    text: /"api\/v1":\{"serverRelativeURL":"\/openapi\/v3\/api\/v1\?hash=[0-9A-F]+"\}/,
  },
  { id: "version", ask: ["GET", "/version"], status: 200, body: { major: "1", minor: "36" } },
  {
    id: "keys-of-tokens",
    ask: ["GET", "/openid/v1/jwks"],
    status: 200,
    headers: { "content-type": "application/jwk-set+json" },
    text: /"alg":"ES256"/,
  },
  {
    id: "openid-configuration",
    ask: ["GET", "/.well-known/openid-configuration"],
    status: 200,
    body: { issuer: "https://kubernetes.default.svc.cluster.local" },
  },
];

export const protocolCases: readonly ConformanceCase[] = [
  ...rows(
    notFound.map(([id, ...ask]) => ({
      id: `404-${id}`,
      ask,
      status: 404,
      reason: "NotFound",
      message: noResource,
    })),
  ),
  ...rows(
    notAllowed.map(([id, ...ask]) => ({
      id: `405-${id}`,
      ask,
      options: ask[0] === "GET" ? {} : { body: {} },
      status: 405,
      reason: "MethodNotAllowed",
      message: noMethod,
    })),
  ),
  ...rows([
    { id: "404-unknown-path", ask: ["GET", "/nope"], ...plainNotFound },
    { id: "404-unknown-path-post", ask: ["POST", "/nope"], ...plainNotFound },
    { id: "404-unknown-group", ask: ["GET", "/apis/nope.example.com/v1/things"], ...plainNotFound },
    {
      id: "404-unknown-group-in-namespace",
      ask: ["GET", "/apis/nope.example.com/v1/namespaces/x/things"],
      ...plainNotFound,
    },
    { id: "404-unknown-group-discovery", ask: ["GET", "/apis/nope"], ...plainNotFound },
    { id: "404-health-with-slash", ask: ["GET", "/healthz/"], ...plainNotFound },
    { id: "path-double-slash", ask: ["GET", `/${secrets}`], ...plainNotFound, realOnly: strictPaths },
    {
      id: "path-encoded-slash",
      ask: ["GET", "/api/v1/namespaces/default%2Fsecrets"],
      status: 200,
      body: { kind: "SecretList" },
      realOnly: strictPaths,
    },
    { id: "path-trailing-slash", ask: ["GET", `${secrets}/`], status: 200, body: { kind: "SecretList" } },
    {
      id: "path-encoded-letter",
      ask: ["GET", "/api/v1/namespaces/%64efault/secrets"],
      status: 200,
      body: { kind: "SecretList" },
    },
    { id: "head-list", ask: ["HEAD", secrets], status: 405, text: "" },
    { id: "head-object", ask: ["HEAD", `${secrets}/nowhere`], status: 405, text: "" },
    { id: "head-version", ask: ["HEAD", "/version"], status: 405, text: "" },
    ...["/healthz", "/livez", "/readyz", "/livez/ping", "/readyz/ping"].map((path) => ({
      id: `health ${path}`,
      ask: ["GET", path] as const,
      status: 200,
      text: "ok",
      headers: { "content-type": "text/plain; charset=utf-8" },
    })),
    {
      id: "health-without-credentials",
      ask: ["GET", "/readyz"],
      options: { token: "" },
      status: 200,
      text: "ok",
    },
    { id: "health-by-post", ask: ["POST", "/healthz"], status: 200, text: "ok" },
    ...documents,
    {
      id: "head-of-answers",
      ask: ["GET", secrets],
      status: 200,
      headers: {
        "content-type": "application/json",
        "cache-control": "no-cache, private",
        "audit-id": /^[0-9a-f-]{36}$/,
      },
    },
    {
      id: "406-unknown-type",
      ask: ["GET", secrets],
      options: accept("text/html"),
      status: 406,
      reason: "NotAcceptable",
      message: /^406: Not Acceptable\n\nAvailable representations: application\/json, /,
    },
    {
      id: "406-cbor-with-its-gate-off",
      ask: ["GET", secrets],
      options: accept("application/cbor"),
      status: 406,
      reason: "NotAcceptable",
    },
    {
      id: "406-unknown-form",
      ask: ["GET", secrets],
      options: accept("application/json;as=Foo;v=v1;g=meta.k8s.io"),
      status: 406,
      reason: "NotAcceptable",
    },
    {
      id: "406-unknown-table-version",
      ask: ["GET", secrets],
      options: accept("application/json;as=Table;v=v9;g=meta.k8s.io"),
      status: 406,
      reason: "NotAcceptable",
    },
    {
      id: "406-before-404",
      ask: ["GET", `${secrets}/nowhere`],
      options: accept("text/html"),
      status: 406,
      reason: "NotAcceptable",
    },
    {
      id: "accept-second-choice",
      ask: ["GET", secrets],
      options: accept("application/cbor,application/json"),
      status: 200,
      headers: { "content-type": "application/json" },
    },
    {
      id: "accept-anything",
      ask: ["GET", secrets],
      options: accept("*/*"),
      status: 200,
      headers: { "content-type": "application/json" },
    },
    {
      id: "accept-table-or-json",
      ask: ["GET", secrets],
      options: accept("application/json;as=Foo;v=v1;g=meta.k8s.io,application/json"),
      status: 200,
      body: { kind: "SecretList" },
    },
    {
      id: "accept-yaml",
      ask: ["GET", secrets],
      options: accept("application/yaml"),
      status: 200,
      headers: { "content-type": "application/yaml" },
      realOnly: "prints JSON only: no client of ours asks for YAML",
    },
    {
      id: "accept-protobuf",
      ask: ["GET", secrets],
      options: accept(protobuf),
      status: 200,
      headers: { "content-type": protobuf },
      text: /^k8s\0/,
      realOnly: jsonOnly,
    },
    {
      id: "accept-protobuf-status",
      ask: ["GET", `${secrets}/nowhere`],
      options: accept(protobuf),
      status: 404,
      headers: { "content-type": protobuf },
      text: /^k8s\0/,
      realOnly: jsonOnly,
    },
    {
      id: "accept-protobuf-or-json",
      ask: ["GET", secrets],
      options: accept(`${protobuf},application/json`),
      status: 200,
      headers: { "content-type": /^application\/(json|vnd\.kubernetes\.protobuf)$/ },
    },
    {
      id: "404-as-table-is-a-status",
      ask: ["GET", `${secrets}/nowhere`],
      options: accept("application/json;as=Table;v=v1;g=meta.k8s.io"),
      status: 404,
      reason: "NotFound",
      message: 'secrets "nowhere" not found',
    },
    {
      id: "pretty",
      ask: ["GET", `${secrets}/nowhere?pretty=true`],
      status: 404,
      text: /^\{\n {2}"kind": "Status",\n/,
    },
  ]),
  conforms("413-and-the-next-request", async (api) => {
    const body = `{"metadata":{"name":"big"},"data":{"x":"${"A".repeat(3_200_000)}"}}`;
    isAnswer(await api.post(secrets, body), {
      status: 413,
      reason: "RequestEntityTooLarge",
      message: "Request entity too large: limit is 3145728",
    });
    assert.equal((await api.get("/version")).status, 200);
  }),
  conforms("gzip-of-long-answers", async (api) => {
    const path = `/api/v1/namespaces/${await api.namespace()}/configmaps`;
    await api.made(path, { metadata: { name: "big" }, data: { x: "y".repeat(200_000) } });
    const packed = await api.get(`${path}/big`, { headers: { "accept-encoding": "deflate, gzip" } });
    assert.deepEqual([packed.headers["content-encoding"], packed.headers.vary], ["gzip", "Accept-Encoding"]);
    const plain = await api.get(`${path}/big`);
    assert.equal(plain.headers["content-encoding"], undefined);
    assert.deepEqual(JSON.parse(gunzipSync(packed.bytes).toString()), plain.body);
    assert.equal(
      (await api.get(`${path}/nowhere`, { headers: { "accept-encoding": "gzip" } })).headers[
        "content-encoding"
      ],
      undefined,
    );
  }),
  conforms("protobuf-of-a-create", async (api) => {
    const path = `/apis/coordination.k8s.io/v1/namespaces/${await api.namespace()}/leases`;
    const text = (number: number, value: Buffer | string): Buffer =>
      Buffer.concat([Buffer.from([(number << 3) | 2, Buffer.byteLength(value)]), Buffer.from(value)]);
    const lease = Buffer.concat([text(1, text(1, "l")), text(2, text(1, "me"))]);
    const envelope = Buffer.concat([
      Buffer.from("k8s\0"),
      text(1, Buffer.concat([text(1, "coordination.k8s.io/v1"), text(2, "Lease")])),
      text(2, lease),
    ]);
    const { status, body } = await api.post(path, envelope, {
      headers: { "content-type": protobuf, accept: "application/json" },
    });
    assert.equal(status, 201);
    assert.partialDeepStrictEqual(body, {
      kind: "Lease",
      metadata: { name: "l" },
      spec: { holderIdentity: "me" },
    });
  }),
  conforms("table-of-a-list", async (api) => {
    const path = `/api/v1/namespaces/${await api.namespace()}/secrets`;
    await api.made(path, { metadata: { name: "a" }, stringData: { x: "1", y: "2" } });
    const { body } = await api.get(path, accept("application/json;as=Table;v=v1;g=meta.k8s.io"));
    assert.partialDeepStrictEqual(body, { kind: "Table", apiVersion: "meta.k8s.io/v1" });
    assert.deepEqual(
      (body.columnDefinitions as Json[]).map(({ name }) => name),
      ["Name", "Type", "Data", "Age"],
    );
    const [row = {}] = body.rows as Json[];
    assert.deepEqual((row.cells as unknown[]).slice(0, 3), ["a", "Opaque", 2]);
    assert.partialDeepStrictEqual(row.object, { kind: "PartialObjectMetadata", metadata: { name: "a" } });
  }),
  ...(["None", "Object"] as const).map((include) =>
    conforms(`table-include-${include}`, async (api) => {
      const path = `/api/v1/namespaces/${await api.namespace()}/secrets`;
      await api.made(path, { metadata: { name: "a" } });
      const { body } = await api.get(
        `${path}?includeObject=${include}`,
        accept("application/json;as=Table;v=v1;g=meta.k8s.io"),
      );
      const object = (body.rows as Json[])[0]?.object as Json | null | undefined;
      assert.equal(object?.kind, include === "None" ? undefined : "Secret");
    }),
  ),
  conforms("metadata-of-a-list-and-of-an-object", async (api) => {
    const path = `/api/v1/namespaces/${await api.namespace()}/secrets`;
    await api.made(path, { metadata: { name: "a" }, stringData: { x: "1" } });
    const list = await api.get(
      path,
      accept("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"),
    );
    assert.deepEqual(
      [list.body.kind, list.body.apiVersion, namesOf(list)],
      ["PartialObjectMetadataList", "meta.k8s.io/v1", ["a"]],
    );
    const one = await api.get(
      `${path}/a`,
      accept("application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"),
    );
    assert.deepEqual(Object.keys(one.body).sort(), ["apiVersion", "kind", "metadata"]);
    assert.equal(metadataOf(one.body).name, "a");
  }),
  conforms("http2-by-alpn", async ({ target }) => {
    const { url, caPem: ca, clientCertificate: cert, clientKey: key } = target;
    const client = connect(url, { ca, cert, key });
    try {
      const statuses = await Promise.all(
        ["/version", secrets, "/nope"].map(async (path) => {
          const stream = client.request({ ":path": path });
          const [headers] = (await once(stream, "response")) as [Json];
          stream.resume();
          await once(stream, "end");
          return headers[":status"];
        }),
      );
      assert.deepEqual(statuses, [200, 200, 404]);
    } finally {
      client.destroy();
    }
  }),
  conforms("http2-watch", async (api) => {
    const { url, caPem: ca, clientCertificate: cert, clientKey: key } = api.target;
    const path = `/api/v1/namespaces/${await api.namespace()}/secrets`;
    const client = connect(url, { ca, cert, key });
    try {
      const stream = client.request({ ":path": `${path}?watch=1&timeoutSeconds=30` });
      stream.setEncoding("utf8");
      const [headers] = (await once(stream, "response")) as [Json];
      assert.deepEqual([headers[":status"], headers["content-type"]], [200, "application/json"]);
      const event = once(stream, "data");
      await api.made(path, { metadata: { name: "a" } });
      assert.match(String((await event)[0]), /^\{"type":"ADDED",.*"name":"a"/);
    } finally {
      client.destroy();
    }
  }),
];
