import { generatedName, gzipLength, memberOrder, objectVersion, time, twin, uid } from "../masks.ts";
import { type Row, row, rowOf, type Step } from "../row.ts";

const json = { "content-type": "application/json" };

/** Everything that tells one object from its twin. */
const object = [twin, uid, objectVersion, time];
const created = { status: 201, masks: object };
const answered = { status: 200, masks: object };

function configMap(name: string, data: Readonly<Record<string, string>> = {}, more: object = {}): string {
  return JSON.stringify({ apiVersion: "v1", kind: "ConfigMap", metadata: { name, ...more }, data });
}

const maps = (namespace: string, name = ""): string => `/api/v1/namespaces/${namespace}/configmaps${name}`;

function post(namespace: string, body: string, more: Partial<Step> = {}): Step {
  return { method: "POST", target: maps(namespace), headers: json, body, ...more };
}

function patch(target: string, type: string, body: unknown): Step {
  return {
    method: "PATCH",
    target,
    headers: { "content-type": `application/${type}` },
    body: JSON.stringify(body),
  };
}

/** Reads an object in an encoding and writes it back as it is, but for one byte of a value. */
const writtenBack = (name: string, accept: string): Row["steps"] =>
  function* ({ twin: namespace }) {
    const target = maps(namespace, `/${name}`);
    const { body } = yield { target, headers: { accept } };
    const changed = Buffer.from(body.toString("latin1").replace("value-before", "value-behind"), "latin1");
    yield { method: "PUT", target, headers: { accept, "content-type": accept }, body: changed };
  };

const large = "x".repeat(900 * 1024);

/** Each row may use what the rows above it left behind. */
export const writes: readonly Row[] = [
  row("create", ({ twin }) => [post(twin, configMap("made", { key: "value-before" }))], created),
  row("create what is there", ({ twin }) => [post(twin, configMap("made"))], { status: 409 }),
  row(
    "create with generateName",
    ({ twin }) => [post(twin, JSON.stringify({ metadata: { generateName: "generated-" } }))],
    {
      status: 201,
      masks: [...object, generatedName],
    },
  ),
  row(
    "create in YAML",
    ({ twin }) => [
      post(twin, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: yaml}\n", {
        headers: { "content-type": "application/yaml", accept: "application/yaml" },
      }),
    ],
    created,
  ),
  row(
    "create with a body in chunks",
    ({ twin }) => [
      post(twin, "", {
        body: [...configMap("chunked", { key: "value" })].map((character) => Buffer.from(character)),
      }),
    ],
    created,
  ),
  row(
    "create with Expect: 100-continue",
    ({ twin }) => [post(twin, configMap("expected"), { headers: { ...json, expect: "100-continue" } })],
    created,
  ),
  row(
    "create without writing (dry run)",
    ({ twin }) => [
      post(twin, configMap("dry"), { target: `${maps(twin)}?dryRun=All` }),
      { target: maps(twin, "/dry") },
    ],
    { status: [201, 404], masks: [twin, uid, time] },
  ),
  row(
    "create with an unknown field",
    ({ twin }) =>
      ["Strict", "Warn"].map((validation) =>
        post(twin, configMap(`unknown-${validation.toLowerCase()}`, {}, { nonsense: 1 }), {
          target: `${maps(twin)}?fieldValidation=${validation}`,
        }),
      ),
    { status: [400, 201], masks: object },
  ),
  row("create with a bad label", ({ twin }) => [post(twin, configMap("bad", {}, { labels: { a: "b c" } }))], {
    status: 422,
  }),
  row("create with what is no JSON", ({ twin }) => [post(twin, "{")], { status: 400 }),
  row("create without a body", ({ twin }) => [post(twin, "")], { status: 400 }),
  row(
    "create with a content type that is not known",
    ({ twin }) => [post(twin, "<x/>", { headers: { "content-type": "application/xml" } })],
    { status: 415 },
  ),
  row(
    "create with a body that is too large",
    ({ twin }) => [post(twin, configMap("large", { key: "x".repeat(3 * 1024 * 1024) }))],
    { status: 413 },
  ),
  row(
    "update",
    ({ twin }) => [
      {
        method: "PUT",
        target: maps(twin, "/made"),
        headers: json,
        body: configMap("made", { key: "value-before", more: "1" }),
      },
    ],
    answered,
  ),
  row(
    "update with a large body",
    ({ twin }) => [
      { method: "PUT", target: maps(twin, "/chunked"), headers: json, body: configMap("chunked", { large }) },
    ],
    answered,
  ),
  row(
    "get with gzip",
    ({ twin }) => [{ target: maps(twin, "/chunked"), headers: { "accept-encoding": "gzip" } }],
    { status: 200, masks: [...object, gzipLength] },
  ),
  row(
    "update from an old state",
    ({ twin }) => [
      {
        method: "PUT",
        target: maps(twin, "/made"),
        headers: json,
        body: configMap("made", {}, { resourceVersion: "1" }),
      },
    ],
    { status: 409 },
  ),
  rowOf("update in protobuf", writtenBack("made", "application/vnd.kubernetes.protobuf"), {
    status: [200, 200],
    masks: object,
  }),
  row(
    "merge patch of what was written back",
    ({ twin }) => [patch(maps(twin, "/made"), "merge-patch+json", { data: { key: "value-before" } })],
    answered,
  ),
  rowOf("update in CBOR", writtenBack("made", "application/cbor"), {
    status: [200, 200],
    masks: [memberOrder, ...object],
  }),
  row(
    "JSON patch",
    ({ twin }) => [
      patch(maps(twin, "/made"), "json-patch+json", [{ op: "add", path: "/data/json", value: "patch" }]),
    ],
    answered,
  ),
  row(
    "JSON patch that does not hold",
    ({ twin }) => [
      patch(maps(twin, "/made"), "json-patch+json", [{ op: "test", path: "/data/json", value: "else" }]),
    ],
    { status: 422 },
  ),
  row(
    "strategic merge patch",
    ({ twin }) => [
      patch(maps(twin, "/made"), "strategic-merge-patch+json", { metadata: { labels: { kind: "odd" } } }),
    ],
    answered,
  ),
  row("patch of a kind that is not known", ({ twin }) => [patch(maps(twin, "/made"), "nonsense+json", {})], {
    status: 415,
  }),
  row(
    "server-side apply",
    ({ twin }) =>
      ["one", "one", "two", "two&force=true"].map((manager) =>
        patch(
          `${maps(twin, "/applied")}?fieldManager=${manager}`,
          "apply-patch+yaml",
          JSON.parse(configMap("applied", { key: manager.startsWith("one") ? "one" : "two" })),
        ),
      ),
    { status: [201, 200, 409, 200], masks: object },
  ),
  row(
    "server-side apply of a custom resource",
    ({ twin }) => [
      patch(
        `/apis/differential.test/v1/namespaces/${twin}/widgets/applied?fieldManager=one`,
        "apply-patch+yaml",
        {
          apiVersion: "differential.test/v1",
          kind: "Widget",
          metadata: { name: "applied" },
          spec: { replicas: 2 },
        },
      ),
    ],
    created,
  ),
  row(
    "custom resource against its schema",
    ({ twin }) => [
      patch(`/apis/differential.test/v1/namespaces/${twin}/widgets/applied`, "merge-patch+json", {
        spec: { replicas: "two" },
      }),
    ],
    { status: 422 },
  ),
  row(
    "status",
    ({ twin }) =>
      [
        `/apis/differential.test/v1/namespaces/${twin}/widgets/applied/status`,
        `/apis/apps/v1/namespaces/${twin}/deployments/app/status`,
      ].flatMap((target) => [{ target }, patch(target, "merge-patch+json", { status: { replicas: 3 } })]),
    { status: [200, 200, 200, 200], masks: object },
  ),
  row(
    "scale",
    ({ twin }) =>
      [
        `/apis/differential.test/v1/namespaces/${twin}/widgets/applied/scale`,
        `/apis/apps/v1/namespaces/${twin}/deployments/app/scale`,
      ].flatMap((target) => [{ target }, patch(target, "merge-patch+json", { spec: { replicas: 4 } })]),
    { status: [200, 200, 200, 200], masks: object },
  ),
  row(
    "access review",
    () => [
      {
        method: "POST",
        target: "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        headers: json,
        body: JSON.stringify({ spec: { resourceAttributes: { verb: "list", resource: "pods" } } }),
      },
    ],
    { status: 201, masks: [time] },
  ),
  row(
    "event",
    ({ twin }) => [
      {
        method: "POST",
        target: `/api/v1/namespaces/${twin}/events`,
        headers: json,
        body: JSON.stringify({
          metadata: { name: "happened" },
          involvedObject: { namespace: twin, name: "made" },
        }),
      },
    ],
    created,
  ),
  row(
    "lease",
    ({ twin }) => {
      const leases = `/apis/coordination.k8s.io/v1/namespaces/${twin}/leases`;
      const metadata = { name: "leader", labels: { team: "a" } };
      const body = JSON.stringify({ metadata, spec: { holderIdentity: "me" } });
      const byName = `${leases}?fieldSelector=metadata.name%3Dleader`;
      return [
        { method: "POST", target: leases, headers: json, body },
        patch(`${leases}/leader`, "strategic-merge-patch+json", { spec: { leaseDurationSeconds: 15 } }),
        patch(`${leases}/leader`, "merge-patch+json", { spec: { holderIdentity: "" } }),
        { target: byName, limited: true },
        { target: `${byName}&watch=1&resourceVersion=0&timeoutSeconds=1`, limited: true },
      ];
    },
    { status: [201, 200, 200, 200, 200], masks: object },
  ),
  row(
    "eviction of what is not there",
    ({ twin }) => [
      {
        method: "POST",
        target: `/api/v1/namespaces/${twin}/pods/gone/eviction`,
        headers: json,
        body: JSON.stringify({ apiVersion: "policy/v1", kind: "Eviction", metadata: { name: "gone" } }),
      },
    ],
    { status: 404 },
  ),
  row(
    "delete without deleting (dry run)",
    ({ twin }) => [{ method: "DELETE", target: `${maps(twin, "/made")}?dryRun=All` }],
    { status: 200, masks: [uid] },
  ),
  row(
    "delete against a precondition",
    ({ twin }) => [
      {
        method: "DELETE",
        target: maps(twin, "/made"),
        headers: json,
        body: JSON.stringify({ preconditions: { uid: "00000000-0000-0000-0000-00000000000x" } }),
      },
    ],
    { status: 409, masks: [uid] },
  ),
  row("delete", ({ twin }) => [{ method: "DELETE", target: maps(twin, "/made") }], {
    status: 200,
    masks: [uid],
  }),
  row("delete what is gone", ({ twin }) => [{ method: "DELETE", target: maps(twin, "/made") }], {
    status: 404,
  }),
  row(
    "delete with the object in the answer",
    ({ twin }) => [
      {
        method: "DELETE",
        target: `/apis/differential.test/v1/namespaces/${twin}/widgets/applied?propagationPolicy=Foreground`,
      },
    ],
    answered,
  ),
  row(
    "deletecollection without deleting (dry run)",
    ({ twin }) => [{ method: "DELETE", target: `${maps(twin)}?dryRun=All`, limited: true }],
    answered,
  ),
  row(
    "deletecollection with a selector of the client's",
    ({ twin }) => [
      { method: "DELETE", target: `${maps(twin)}?labelSelector=kind%3Dgone`, limited: true },
      ...["/stays", "/goes", "/goes-by-selector"].map((name) => ({ target: maps(twin, name) })),
    ],
    { status: [200, 200, 200, 404], masks: object },
  ),
  row(
    "deletecollection",
    ({ twin }) => [
      { method: "DELETE", target: maps(twin), limited: true },
      { target: maps(twin, "/stays") },
      { target: maps(twin, "/goes") },
    ],
    { status: [200, 200, 404], masks: object },
  ),
  row(
    "create a namespace that is there",
    () => [
      {
        method: "POST",
        target: "/api/v1/namespaces",
        headers: json,
        body: JSON.stringify({ metadata: { name: "team-a" } }),
      },
    ],
    { status: 409 },
  ),
  row("method that nobody knows", ({ twin }) => [{ method: "PROPFIND", target: maps(twin) }], {
    status: 405,
  }),
];
