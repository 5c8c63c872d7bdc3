import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { at, objectOf, stringOf } from "./json.ts";
import { TestSession } from "./test-session.ts";

let session: TestSession;
before(async () => {
  session = await TestSession.start({ bookmarkIntervalMs: 200, historyLimit: 50 });
});
after(() => session[Symbol.asyncDispose]());

let count = 0;
/** A namespace of its own for each test, without the objects that every namespace gets. */
async function emptyNamespace(): Promise<string> {
  const name = `watch-${++count}`;
  await session.post("/api/v1/namespaces", { metadata: { name } });
  return `/api/v1/namespaces/${name}/secrets`;
}

const versionOf = (object: unknown): string => stringOf(at(object, "metadata", "resourceVersion"));

test("watch: entering, changing inside and leaving a label selector are ADDED, MODIFIED and DELETED", async () => {
  const path = await emptyNamespace();
  using watch = session.watch(`${path}?watch=1&labelSelector=shard%3Da`);
  await session.post(path, { metadata: { name: "x", labels: { shard: "b" } } });
  const entered = await session.patch(`${path}/x`, "merge", { metadata: { labels: { shard: "a" } } });
  assert.equal(await watch.nextName(), "ADDED x");
  await session.patch(`${path}/x`, "merge", { stringData: { k: "v" } });
  assert.equal(await watch.nextName(), "MODIFIED x");
  const left = await session.patch(`${path}/x`, "merge", { metadata: { labels: { shard: "b" } } });
  const gone = await watch.next();
  assert.equal(gone.type, "DELETED");
  // The state that still matched, with the resourceVersion of the change.
  assert.deepEqual(at(gone.object, "metadata", "labels"), { shard: "a" });
  assert.equal(versionOf(gone.object), versionOf(left.body));
  assert.notEqual(versionOf(gone.object), versionOf(entered.body));
});

test("watch: an object that never matched is never told, also when it is deleted", async () => {
  const path = await emptyNamespace();
  using watch = session.watch(`${path}?watch=1&labelSelector=shard%3Da`);
  await session.post(path, { metadata: { name: "other" } });
  await session.call("DELETE", `${path}/other`);
  await session.post(path, { metadata: { name: "mine", labels: { shard: "a" } } });
  assert.equal(await watch.nextName(), "ADDED mine");
  const deleted = await session.call("DELETE", `${path}/mine`);
  assert.equal(deleted.status, 200);
  assert.equal(await watch.nextName(), "DELETED mine");
});

test("watch: from a resourceVersion it tells each later change once and nothing before", async () => {
  const path = await emptyNamespace();
  const first = await session.post(path, { metadata: { name: "one" } });
  await session.post(path, { metadata: { name: "two" } });
  await session.call("DELETE", `${path}/one`);
  using watch = session.watch(`${path}?watch=1&resourceVersion=${versionOf(first.body)}`);
  assert.equal(await watch.nextName(), "ADDED two");
  assert.equal(await watch.nextName(), "DELETED one");
  await session.post(path, { metadata: { name: "three" } });
  assert.equal(await watch.nextName(), "ADDED three");
});

test("watch: without and with resourceVersion 0 it starts with an ADDED for each object", async () => {
  const path = await emptyNamespace();
  await session.post(path, { metadata: { name: "one" } });
  for (const version of ["", "&resourceVersion=0"]) {
    using watch = session.watch(`${path}?watch=1${version}`);
    assert.equal(await watch.nextName(), "ADDED one");
  }
});

test("watch: WatchList sends the objects, then a bookmark that marks their end, then changes", async () => {
  const path = await emptyNamespace();
  const made = await session.post(path, { metadata: { name: "one" } });
  using watch = session.watch(
    `${path}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true`,
  );
  assert.equal(await watch.nextName(), "ADDED one");
  const end = await watch.next();
  assert.equal(end.type, "BOOKMARK");
  assert.deepEqual(at(end.object, "metadata", "annotations"), { "k8s.io/initial-events-end": "true" });
  assert.ok(Number(versionOf(end.object)) >= Number(versionOf(made.body)));
  await session.post(path, { metadata: { name: "two" } });
  for (;;) {
    const event = await watch.next();
    if (event.type === "BOOKMARK") continue;
    assert.equal(event.type, "ADDED");
    break;
  }
});

test("watch: WatchList without its two companions is refused", async () => {
  const path = await emptyNamespace();
  for (const query of ["sendInitialEvents=true", "resourceVersionMatch=NotOlderThan"]) {
    const { status, body } = await session.get(`${path}?watch=1&${query}`);
    assert.deepEqual([status, body.reason], [422, "Invalid"], query);
  }
});

test("watch: bookmarks come by the interval and carry the server's newest resourceVersion", async () => {
  const path = await emptyNamespace();
  const { body } = await session.get(path);
  using watch = session.watch(`${path}?watch=1&allowWatchBookmarks=true&resourceVersion=${versionOf(body)}`);
  const elsewhere = await emptyNamespace();
  const newer = await session.post(elsewhere, { metadata: { name: "x" } });
  for (;;) {
    const event = await watch.next();
    assert.equal(event.type, "BOOKMARK");
    if (Number(versionOf(event.object)) >= Number(versionOf(newer.body))) break;
  }
});

test("watch: timeoutSeconds ends it in good order", async () => {
  const path = await emptyNamespace();
  using watch = session.watch(`${path}?watch=1&timeoutSeconds=1`);
  assert.equal(await watch.nextOrEnd(), undefined);
});

test("watch: a resourceVersion older than the history is an ERROR event 410 and the end", async () => {
  const path = await emptyNamespace();
  const { body } = await session.get(path);
  await session.post(path, { metadata: { name: "x" } });
  session.server.faults.compact();
  using watch = session.watch(`${path}?watch=1&resourceVersion=${versionOf(body)}`);
  const event = await watch.next();
  assert.equal(event.type, "ERROR");
  assert.deepEqual([at(event.object, "code"), at(event.object, "reason")], [410, "Expired"]);
  assert.equal(await watch.nextOrEnd(), undefined);
});

test("watch: the history forgets by its limit, too", async () => {
  const path = await emptyNamespace();
  const { body } = await session.get(path);
  await session.post(path, { metadata: { name: "x" } });
  for (let index = 0; index < 60; index++)
    await session.patch(`${path}/x`, "merge", { metadata: { labels: { index: String(index) } } });
  using watch = session.watch(`${path}?watch=1&resourceVersion=${versionOf(body)}`);
  assert.equal((await watch.next()).type, "ERROR");
});

test("watch: expired by a fault, an open one gets the ERROR event", async () => {
  const path = await emptyNamespace();
  using watch = session.watch(`${path}?watch=1`);
  await session.post(path, { metadata: { name: "x" } });
  await watch.next();
  session.server.faults.expireWatches();
  assert.equal(at((await watch.next()).object, "code"), 410);
  assert.equal(await watch.nextOrEnd(), undefined);
});

test("watch: a closed one is forgotten", async () => {
  const path = await emptyNamespace();
  const before = session.server.openWatches();
  const watch = session.watch(`${path}?watch=1`);
  await session.post(path, { metadata: { name: "x" } });
  await watch.next();
  assert.equal(session.server.openWatches(), before + 1);
  watch[Symbol.dispose]();
  await session.until("the watch forgotten", path, () => session.server.openWatches() === before);
});

test("watch: as Table each row is an event, columns come with the first only", async () => {
  const path = await emptyNamespace();
  using watch = session.watch(`${path}?watch=1`, { accept: "application/json;as=Table;v=v1;g=meta.k8s.io" });
  await session.post(path, { metadata: { name: "one" } });
  await session.post(path, { metadata: { name: "two" } });
  const [first, second] = [await watch.next(), await watch.next()];
  assert.equal(at(first.object, "kind"), "Table");
  assert.ok(Array.isArray(at(first.object, "columnDefinitions")));
  assert.equal(at(second.object, "columnDefinitions"), null);
});

test("watch: as PartialObjectMetadata only metadata crosses the wire", async () => {
  const path = await emptyNamespace();
  using watch = session.watch(`${path}?watch=1`, {
    accept: "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
  });
  await session.post(path, { metadata: { name: "one" }, stringData: { secret: "x" } });
  const { object } = await watch.next();
  assert.deepEqual(Object.keys(objectOf(object)).sort(), ["apiVersion", "kind", "metadata"]);
});

test("listening: stopped and started again, the objects are there and resourceVersions go on", async () => {
  const path = await emptyNamespace();
  const made = await session.post(path, { metadata: { name: "kept" } });
  using cut = session.watch(`${path}?watch=1&resourceVersion=${versionOf(made.body)}`);
  await session.server.faults.stopListening();
  assert.equal(await cut.nextOrEnd(), undefined);
  await assert.rejects(session.get(path), /ECONNREFUSED/);
  await session.server.faults.startListening();
  const { body } = await session.get(`${path}/kept`);
  assert.equal(versionOf(body), versionOf(made.body));
});
