import { counters, lastModified, memberOrder } from "../masks.ts";
import { type Row, row, rowOf } from "../row.ts";

const configMap = "/api/v1/namespaces/team-a/configmaps/bulk-001";
const aggregated = (version: string) =>
  `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList,application/json`;

/** With the ETag of the first answer in the second request. */
const revalidated = (target: string, accept: string): Row["steps"] =>
  function* () {
    const first = yield { target, headers: { accept } };
    const [, etag = ""] = first.headers.find(([name]) => name.toLowerCase() === "etag") ?? [];
    yield { target, headers: { accept, "if-none-match": etag } };
  };

const answered = { status: 200 };
const inCbor = { status: 200, masks: [memberOrder] };

/** Gets, discovery and paths that are no resources. */
export const otherReads: readonly Row[] = [
  row("get", [{ target: configMap }], answered),
  row(
    "get of another shard's object",
    [{ target: "/api/v1/namespaces/team-b/configmaps/bulk-001" }],
    answered,
  ),
  row(
    "get in protobuf",
    [{ target: configMap, headers: { accept: "application/vnd.kubernetes.protobuf" } }],
    answered,
  ),
  row("get in CBOR", [{ target: configMap, headers: { accept: "application/cbor" } }], inCbor),
  row("get with pretty=true", [{ target: `${configMap}?pretty=true` }], answered),
  row(
    "get for a browser",
    [{ target: configMap, headers: { "user-agent": "Mozilla/5.0", accept: "text/html" } }],
    { status: 406 },
  ),
  row(
    "get of metadata",
    [
      {
        target: configMap,
        headers: { accept: "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io" },
      },
    ],
    answered,
  ),
  row("get with HEAD", [{ method: "HEAD", target: configMap }], { status: 405 }),
  row("get with OPTIONS", [{ method: "OPTIONS", target: configMap }], { status: 405 }),
  row("get with a slash behind it", [{ target: `${configMap}/` }], answered),
  row("get of what is not there", [{ target: `${configMap}-gone` }], { status: 404 }),
  row(
    "get of what is not there in protobuf",
    [{ target: `${configMap}-gone`, headers: { accept: "application/vnd.kubernetes.protobuf" } }],
    { status: 404 },
  ),
  row(
    "get of what is not there in CBOR",
    [{ target: `${configMap}-gone`, headers: { accept: "application/cbor" } }],
    { status: 404, masks: [memberOrder] },
  ),
  row("get of a kind that is not there", [{ target: "/api/v1/namespaces/team-a/nonsense" }], { status: 404 }),
  row("get with a wrong token", [{ target: configMap, headers: { authorization: "Bearer wrong" } }], {
    status: 401,
  }),
  row("get without a token", [{ target: configMap, headers: { authorization: "" } }], { status: 403 }),
  row(
    "get, list and watch without rights",
    ({ powerlessToken }) =>
      [configMap, "/api/v1/configmaps", "/api/v1/configmaps?watch=1"].map((target) => ({
        target,
        headers: { authorization: `Bearer ${powerlessToken}` },
        limited: target !== configMap,
      })),
    { status: [403, 403, 403] },
  ),
  row("API versions", [{ target: "/api" }, { target: "/apis" }], { status: [200, 200] }),
  row(
    "aggregated discovery",
    ["/api", "/apis"].flatMap((target) =>
      ["v2", "v2beta1"].map((version) => ({ target, headers: { accept: aggregated(version) } })),
    ),
    { status: [200, 200, 200, 200] },
  ),
  rowOf("aggregated discovery by ETag", revalidated("/apis", aggregated("v2")), { status: [200, 304] }),
  row(
    "legacy discovery",
    ["/api/v1", "/apis/apps", "/apis/apps/v1", "/apis/differential.test/v1"].map((target) => ({ target })),
    { status: [200, 200, 200, 200] },
  ),
  row(
    "discovery in protobuf",
    [{ target: "/api/v1", headers: { accept: "application/vnd.kubernetes.protobuf" } }],
    answered,
  ),
  row("OpenAPI v2", [{ target: "/openapi/v2" }], answered),
  row(
    "OpenAPI v2 in protobuf with gzip",
    [
      {
        target: "/openapi/v2",
        headers: {
          accept: "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
          "accept-encoding": "gzip",
        },
      },
    ],
    answered,
  ),
  rowOf("OpenAPI v3 by ETag", revalidated("/openapi/v3/apis/apps/v1", "application/json"), {
    status: [200, 304],
  }),
  row("OpenAPI v3", [{ target: "/openapi/v3" }], { status: 200, masks: [lastModified] }),
  row(
    "OpenAPI v3 by a hash that is not its own",
    [{ target: "/openapi/v3/apis/apps/v1?hash=0123456789ABCDEF" }],
    { status: 301 },
  ),
  row("version", [{ target: "/version" }], answered),
  row("version with HEAD", [{ method: "HEAD", target: "/version" }], { status: 405 }),
  row(
    "health",
    ["/healthz", "/livez?verbose", "/readyz", "/readyz?verbose&exclude=etcd", "/livez/ping"].map(
      (target) => ({ target }),
    ),
    { status: [200, 200, 200, 200, 200] },
  ),
  row("metrics", [{ target: "/metrics" }], { status: 200, masks: [counters] }),
  row("the root", [{ target: "/" }], answered),
  row("a path that is not there", [{ target: "/nonsense?a=b;c" }], { status: 404 }),
  row(
    "a user's own words",
    [{ target: "/.well-known/openid-configuration" }, { target: "/openid/v1/jwks" }],
    {
      status: [200, 200],
    },
  ),
];
