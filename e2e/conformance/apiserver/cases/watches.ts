import assert from "node:assert/strict";
import { type ConformanceCase, conforms, isStatus, metadataOf, nameOf, rows, versionOf } from "../case.ts";
import type { Api, Json, WatchEvent, WatchStream } from "../client.ts";

const secrets = "/api/v1/namespaces/default/secrets";

async function emptyPath(api: Api): Promise<string> {
  return `/api/v1/namespaces/${await api.namespace()}/secrets`;
}

async function made(api: Api, path: string, name: string, labels: Json = {}): Promise<string> {
  return versionOf(await api.made(path, { metadata: { name, labels } }));
}

async function listVersion(api: Api, path: string): Promise<string> {
  return versionOf((await api.get(path)).body);
}

/** Events until the server ends the watch: "TYPE name" each. */
async function rest(watch: WatchStream): Promise<string[]> {
  const events: string[] = [];
  for (;;) {
    const event = await watch.nextOrEnd();
    if (event === undefined) return events;
    events.push(`${event.type} ${String(metadataOf(event.object).name)}`);
  }
}

/** The end of the initial events of a WatchList. */
function isInitialEnd({ type, object }: WatchEvent): void {
  assert.equal(type, "BOOKMARK");
  assert.deepEqual(metadataOf(object).annotations, { "k8s.io/initial-events-end": "true" });
}

const watchList = "watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan";
const table = "application/json;as=Table;v=v1;g=meta.k8s.io";
const partial = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";

/** What a watch of a collection with a and b says first, and whether it goes on from there: query and events. */
const starts: readonly (readonly [id: string, query: string, events: readonly string[]])[] = [
  ["without-version", "", ["ADDED a", "ADDED b"]],
  ["from-zero", "resourceVersion=0", ["ADDED a", "ADDED b"]],
  ["from-empty-version", "resourceVersion=", ["ADDED a", "ADDED b"]],
  ["from-before-a", "resourceVersion=BEFORE", ["ADDED a", "ADDED b"]],
  ["from-a", "resourceVersion=A", ["ADDED b"]],
  ["from-b", "resourceVersion=B", []],
  ["limit-has-no-effect", "limit=1", ["ADDED a", "ADDED b"]],
  ["label-selector", "labelSelector=on", ["ADDED a"]],
  ["field-selector", "fieldSelector=metadata.name%3Db", ["ADDED b"]],
  [
    "initial-events-false-from-a",
    "sendInitialEvents=false&resourceVersionMatch=NotOlderThan&resourceVersion=A",
    ["ADDED b"],
  ],
  [
    "initial-events-without-bookmarks",
    "sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
    ["ADDED a", "ADDED b"],
  ],
];

export const watchCases: readonly ConformanceCase[] = [
  ...starts.map(([id, query, events]) =>
    conforms(`watch-${id}`, async (api) => {
      const path = await emptyPath(api);
      const before = await listVersion(api, path);
      const versions = {
        BEFORE: before,
        A: await made(api, path, "a", { on: "1" }),
        B: await made(api, path, "b"),
      };
      const filled = query.replace(/BEFORE|\b[AB]\b/g, (name) => versions[name as keyof typeof versions]);
      using watch = api.watch(`${path}?watch=true&${filled}`);
      assert.deepEqual(await watch.names(events.length), events);
      await api.patch(`${path}/${id === "field-selector" ? "b" : "a"}`, "merge", {
        metadata: { labels: { more: "1" } },
      });
      assert.equal((await watch.next()).type, "MODIFIED");
    }),
  ),
  ...["1", "true", "maybe", ""].map((value) =>
    conforms(`watch parameter watch=${value}`, async (api) => {
      const path = await emptyPath(api);
      await made(api, path, "a");
      using watch = api.watch(`${path}?watch=${value}&timeoutSeconds=1`);
      assert.deepEqual(await rest(watch), ["ADDED a"]);
    }),
  ),
  conforms("watch-head", async (api) => {
    using watch = api.watch(`${await emptyPath(api)}?watch=1`);
    const { status, headers } = await watch.head();
    assert.equal(status, 200);
    assert.deepEqual(
      [headers["content-type"], headers["transfer-encoding"]],
      ["application/json", "chunked"],
    );
    assert.equal(headers["cache-control"], "no-cache, private");
  }),
  conforms("watch-resumes-exactly", async (api) => {
    const path = await emptyPath(api);
    const start = await listVersion(api, path);
    const versions = [];
    for (const name of ["a", "b", "c"]) versions.push(await made(api, path, name));
    await api.delete(`${path}/a`);
    for (const [index, from] of [start, ...versions].entries()) {
      using watch = api.watch(`${path}?watch=1&resourceVersion=${from}&timeoutSeconds=1`);
      assert.deepEqual(await rest(watch), ["ADDED a", "ADDED b", "ADDED c", "DELETED a"].slice(index));
    }
  }),
  conforms("watch-event-of-a-deletion-carries-its-version", async (api) => {
    const path = await emptyPath(api);
    const version = await made(api, path, "a");
    using watch = api.watch(`${path}?watch=1&resourceVersion=${version}`);
    await api.delete(`${path}/a`);
    const { type, object } = await watch.next();
    assert.equal(type, "DELETED");
    assert.ok(BigInt(versionOf(object)) > BigInt(version));
    assert.partialDeepStrictEqual(object, { kind: "Secret", apiVersion: "v1" });
  }),
  conforms("watch-selector-crossings", async (api) => {
    const path = await emptyPath(api);
    const version = await made(api, path, "a", { on: "1" });
    await api.patch(`${path}/a`, "merge", { stringData: { k: "1" } });
    using watch = api.watch(`${path}?watch=1&resourceVersion=${version}&labelSelector=on%3D1`);
    const leave = await api.patch(`${path}/a`, "merge", {
      metadata: { labels: { on: null } },
      stringData: { k: "2" },
    });
    const enter = await api.patch(`${path}/a`, "merge", { metadata: { labels: { on: "1" } } });
    await api.delete(`${path}/a`);
    const data = (text: string) => Buffer.from(text).toString("base64");
    const first = await watch.next();
    assert.deepEqual([first.type, first.object.data], ["MODIFIED", { k: data("1") }]);
    // Leaving: the state before the change, under the version of the change.
    const left = await watch.next();
    assert.deepEqual(
      [left.type, left.object.data, metadataOf(left.object).labels],
      ["DELETED", { k: data("1") }, { on: "1" }],
    );
    assert.equal(versionOf(left.object), versionOf(leave.body));
    const entered = await watch.next();
    assert.deepEqual([entered.type, entered.object.data], ["ADDED", { k: data("2") }]);
    assert.equal(versionOf(entered.object), versionOf(enter.body));
    assert.equal((await watch.next()).type, "DELETED");
  }),
  conforms("watch-outside-the-selector-is-silent", async (api) => {
    const path = await emptyPath(api);
    const version = await listVersion(api, path);
    using watch = api.watch(`${path}?watch=1&resourceVersion=${version}&labelSelector=on%3D1`);
    await made(api, path, "out");
    await api.delete(`${path}/out`);
    await made(api, path, "in", { on: "1" });
    assert.deepEqual(await watch.names(1), ["ADDED in"]);
  }),
  conforms("watch-field-selector-crossings", async (api) => {
    const namespace = await api.namespace();
    await api.until(
      "service account",
      `/api/v1/namespaces/${namespace}/serviceaccounts/default`,
      ({ status }) => status === 200,
    );
    const path = `/api/v1/namespaces/${namespace}/pods`;
    const version = await listVersion(api, path);
    using watch = api.watch(
      `${path}?watch=1&resourceVersion=${version}&fieldSelector=status.phase%3DRunning`,
    );
    await api.made(path, { metadata: { name: "p" }, spec: { containers: [{ name: "c", image: "i" }] } });
    for (const phase of ["Running", "Succeeded"])
      await api.patch(`${path}/p/status`, "merge", { status: { phase } });
    assert.deepEqual(await watch.names(2), ["ADDED p", "DELETED p"]);
  }),
  conforms("watch-of-all-namespaces", async (api) => {
    const one = await emptyPath(api);
    const two = await emptyPath(api);
    const version = await listVersion(api, "/api/v1/secrets");
    using watch = api.watch(`/api/v1/secrets?watch=1&resourceVersion=${version}&labelSelector=both`);
    await made(api, one, "a", { both: "1" });
    await made(api, two, "b", { both: "1" });
    assert.deepEqual(await watch.names(2), ["ADDED a", "ADDED b"]);
  }),
  conforms("watch-of-one-name", async (api) => {
    const path = await emptyPath(api);
    using watch = api.watch(`${path}?watch=1&fieldSelector=metadata.name%3Db`);
    await watch.head();
    await made(api, path, "a");
    await made(api, path, "b");
    assert.deepEqual(await watch.names(1), ["ADDED b"]);
  }),
  conforms("watch-legacy-path", async (api) => {
    const path = await emptyPath(api);
    await made(api, path, "a");
    using watch = api.watch(`${path.replace("/v1/", "/v1/watch/")}?timeoutSeconds=1`);
    assert.deepEqual(await rest(watch), ["ADDED a"]);
  }),
  conforms("watch-legacy-path-of-one-name", async (api) => {
    const path = await emptyPath(api);
    await made(api, path, "a");
    await made(api, path, "b");
    using watch = api.watch(`${path.replace("/v1/", "/v1/watch/")}/b?timeoutSeconds=1`);
    assert.deepEqual(await rest(watch), ["ADDED b"]);
  }),
  conforms("watch-of-a-name-is-a-get", async (api) => {
    const path = await emptyPath(api);
    await made(api, path, "a");
    const { status, body } = await api.get(`${path}/a?watch=1`);
    assert.deepEqual([status, body.kind, nameOf(body)], [200, "Secret", "a"]);
  }),
  conforms("watch-timeout-ends-in-good-order", async (api) => {
    using watch = api.watch(`${await emptyPath(api)}?watch=1&timeoutSeconds=1`);
    assert.deepEqual(await rest(watch), []);
  }),
  conforms("watchlist-state-then-bookmark", async (api) => {
    const path = await emptyPath(api);
    await made(api, path, "a");
    const version = await made(api, path, "b");
    using watch = api.watch(`${path}?${watchList}`);
    assert.deepEqual(await watch.names(2), ["ADDED a", "ADDED b"]);
    const end = await watch.next();
    isInitialEnd(end);
    assert.deepEqual(Object.keys(end.object).sort(), ["apiVersion", "kind", "metadata"]);
    assert.ok(BigInt(versionOf(end.object)) >= BigInt(version));
    await made(api, path, "c");
    assert.deepEqual(await watch.names(1), ["ADDED c"]);
  }),
  conforms("watchlist-of-nothing-is-a-bookmark", async (api) => {
    using watch = api.watch(`${await emptyPath(api)}?${watchList}`);
    isInitialEnd(await watch.next());
  }),
  conforms("watchlist-with-selector", async (api) => {
    const path = await emptyPath(api);
    await made(api, path, "a");
    await made(api, path, "b", { on: "1" });
    using watch = api.watch(`${path}?${watchList}&labelSelector=on`);
    assert.deepEqual(await watch.names(1), ["ADDED b"]);
    isInitialEnd(await watch.next());
  }),
  conforms("watchlist-not-older-than-a-version", async (api) => {
    const path = await emptyPath(api);
    const version = await made(api, path, "a");
    using watch = api.watch(`${path}?${watchList}&resourceVersion=${version}`);
    assert.deepEqual(await watch.names(1), ["ADDED a"]);
    const end = await watch.next();
    isInitialEnd(end);
    assert.ok(BigInt(versionOf(end.object)) >= BigInt(version));
  }),
  conforms("watchlist-resumes-from-its-bookmark", async (api) => {
    const path = await emptyPath(api);
    using watch = api.watch(`${path}?${watchList}`);
    const version = versionOf((await watch.next()).object);
    await made(api, path, "a");
    using next = api.watch(`${path}?watch=1&allowWatchBookmarks=true&resourceVersion=${version}`);
    assert.deepEqual(await next.names(1), ["ADDED a"]);
  }),
  conforms("watch-with-bookmarks-from-zero-marks-the-end-of-the-state", async (api) => {
    const path = await emptyPath(api);
    await made(api, path, "a");
    using watch = api.watch(`${path}?watch=1&resourceVersion=0&allowWatchBookmarks=true`);
    assert.deepEqual(await watch.names(1), ["ADDED a"]);
    isInitialEnd(await watch.next());
  }),
  conforms("watchlist-from-the-future", async (api) => {
    using watch = api.watch(`${await emptyPath(api)}?${watchList}&resourceVersion=999999999`);
    assert.equal((await watch.head()).status, 200);
    const { type, object } = await watch.next();
    assert.equal(type, "ERROR");
    isStatus(object, {
      status: 504,
      reason: "Timeout",
      message: /^Timeout: Too large resource version: 999999999, current: \d+$/,
    });
    assert.partialDeepStrictEqual(object, {
      details: {
        retryAfterSeconds: 1,
        causes: [{ reason: "ResourceVersionTooLarge", message: "Too large resource version" }],
      },
    });
  }),
  conforms("watch-from-the-future-waits", async (api) => {
    const path = await emptyPath(api);
    await made(api, path, "a");
    using watch = api.watch(`${path}?watch=1&resourceVersion=999999999&timeoutSeconds=1`);
    assert.deepEqual(await rest(watch), []);
  }),
  conforms("watch-as-table", async (api) => {
    const path = await emptyPath(api);
    await made(api, path, "a");
    await made(api, path, "b");
    using watch = api.watch(`${path}?watch=1`, { accept: table });
    const events = [await watch.next(), await watch.next()];
    assert.deepEqual(
      events.map(({ type, object }) => [type, object.kind, (object.rows as Json[]).length]),
      [
        ["ADDED", "Table", 1],
        ["ADDED", "Table", 1],
      ],
    );
    assert.ok(Array.isArray(events[0]?.object.columnDefinitions));
    assert.equal(events[1]?.object.columnDefinitions, null);
  }),
  conforms("watch-as-metadata", async (api) => {
    const path = await emptyPath(api);
    await made(api, path, "a");
    using watch = api.watch(`${path}?${watchList}`, { accept: partial });
    const { type, object } = await watch.next();
    assert.deepEqual(
      [type, object.kind, Object.keys(object).sort()],
      ["ADDED", "PartialObjectMetadata", ["apiVersion", "kind", "metadata"]],
    );
    isInitialEnd(await watch.next());
  }),
  ...rows([
    {
      id: "watchlist-without-match",
      ask: ["GET", `${secrets}?watch=1&sendInitialEvents=true&allowWatchBookmarks=true`],
      status: 422,
      reason: "Invalid",
      message:
        'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan',
      fields: ["resourceVersionMatch"],
    },
    {
      id: "watchlist-match-exact",
      ask: [
        "GET",
        `${secrets}?watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=Exact`,
      ],
      status: 422,
      reason: "Invalid",
      message: /, resourceVersionMatch: Unsupported value: "Exact": supported values: "NotOlderThan"\]$/,
      fields: ["resourceVersionMatch", "resourceVersionMatch"],
    },
    {
      id: "watchlist-false-without-match",
      ask: ["GET", `${secrets}?watch=1&sendInitialEvents=false`],
      status: 422,
      reason: "Invalid",
      fields: ["resourceVersionMatch"],
    },
    {
      id: "watch-match-without-initial-events",
      ask: ["GET", `${secrets}?watch=1&resourceVersionMatch=NotOlderThan&resourceVersion=1`],
      status: 422,
      reason: "Invalid",
      message: /resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided$/,
      fields: ["resourceVersionMatch"],
    },
    {
      id: "watch-with-continue",
      ask: ["GET", `${secrets}?watch=1&continue=abc`],
      status: 422,
      reason: "Invalid",
      message: /resourceVersionMatch is forbidden when continue is provided$/,
      fields: ["resourceVersionMatch"],
    },
    {
      id: "watch-version-no-number",
      ask: ["GET", `${secrets}?watch=1&resourceVersion=abc`],
      status: 500,
      reason: "",
      message: 'resourceVersion: Invalid value: "abc": strconv.ParseUint: parsing "abc": invalid syntax',
    },
    {
      id: "watch-limit-no-number",
      ask: ["GET", `${secrets}?watch=1&limit=abc`],
      status: 400,
      reason: "BadRequest",
    },
    {
      id: "watch-not-acceptable",
      ask: ["GET", `${secrets}?watch=1`],
      options: { headers: { accept: "text/html" } },
      status: 406,
      reason: "NotAcceptable",
    },
    {
      id: "watch-cbor-with-its-gate-off",
      ask: ["GET", `${secrets}?watch=1`],
      options: { headers: { accept: "application/cbor-seq" } },
      status: 406,
      reason: "NotAcceptable",
    },
    {
      id: "watch-yaml-is-no-stream",
      ask: ["GET", `${secrets}?watch=1`],
      options: { headers: { accept: "application/yaml" } },
      status: 406,
    },
    {
      id: "watch-as-protobuf",
      ask: ["GET", `${secrets}?watch=1&timeoutSeconds=1`],
      options: { headers: { accept: "application/vnd.kubernetes.protobuf;stream=watch" } },
      status: 200,
      headers: { "content-type": "application/vnd.kubernetes.protobuf;stream=watch" },
      realOnly:
        "prints JSON only: Go clients that ask for protobuf accept JSON too, and those that do not are tested against the real one",
    },
    {
      id: "watch-json-stream-type",
      ask: ["GET", `${secrets}?watch=1&timeoutSeconds=1`],
      options: { headers: { accept: "application/json;stream=watch" } },
      status: 200,
      headers: { "content-type": "application/json" },
    },
  ]),
];
