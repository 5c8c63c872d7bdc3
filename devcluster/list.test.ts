import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { arrayOf, at, stringOf } from "./json.ts";
import { type Answer, TestSession } from "./test-session.ts";

let session: TestSession;
before(async () => {
  session = await TestSession.start();
});
after(() => session[Symbol.asyncDispose]());

const names = ({ body }: Answer): string[] =>
  arrayOf(body.items).map((each) => stringOf(at(each, "metadata", "name")));
const tokenOf = ({ body }: Answer): string => stringOf(at(body, "metadata", "continue"));
const versionOf = ({ body }: Answer): string => stringOf(at(body, "metadata", "resourceVersion"));

async function namespaceWith(name: string, secrets: readonly string[]): Promise<string> {
  await session.post("/api/v1/namespaces", { metadata: { name } });
  const path = `/api/v1/namespaces/${name}/secrets`;
  for (const secret of secrets)
    await session.post(path, { metadata: { name: secret, labels: { [secret]: "yes" } } });
  return path;
}

test("list: pages of one chain show one state, whatever changes in between", async () => {
  const path = await namespaceWith("pages", ["a", "b", "c", "d", "e"]);
  const first = await session.get(`${path}?limit=2`);
  assert.deepEqual([names(first), at(first.body, "metadata", "remainingItemCount")], [["a", "b"], 3]);
  await session.call("DELETE", `${path}/d`);
  await session.post(path, { metadata: { name: "bb" } });
  const second = await session.get(`${path}?limit=2&continue=${tokenOf(first)}`);
  assert.deepEqual([names(second), versionOf(second)], [["c", "d"], versionOf(first)]);
  const third = await session.get(`${path}?limit=2&continue=${tokenOf(second)}`);
  assert.deepEqual([names(third), tokenOf(third)], [["e"], ""]);
  assert.deepEqual(names(await session.get(path)), ["a", "b", "bb", "c", "e"]);
});

test("list: a continue token is the JSON that API servers write", async () => {
  const path = await namespaceWith("token", ["a", "b"]);
  const token = tokenOf(await session.get(`${path}?limit=1`));
  const { v, rv, start } = JSON.parse(Buffer.from(token, "base64url").toString());
  assert.deepEqual([v, typeof rv, start], ["meta.k8s.io/v1", "number", "/a\u0000"]);
});

test("list: a token older than the history is 410 with one that goes on in the newest state", async () => {
  const path = await namespaceWith("expired", ["a", "b", "c"]);
  const first = await session.get(`${path}?limit=1`);
  await session.call("DELETE", `${path}/b`);
  session.server.faults.compact();
  const gone = await session.get(`${path}?limit=1&continue=${tokenOf(first)}`);
  assert.deepEqual([gone.status, gone.body.reason], [410, "Expired"]);
  const on = await session.get(`${path}?limit=1&continue=${tokenOf(gone)}`);
  assert.deepEqual(names(on), ["c"]);
});

test("list: a bad token and a token with a resourceVersion are 400", async () => {
  const path = await namespaceWith("bad-token", ["a", "b"]);
  const token = tokenOf(await session.get(`${path}?limit=1`));
  for (const query of ["continue=zzz", `continue=${token}&resourceVersion=5`])
    assert.equal((await session.get(`${path}?${query}`)).status, 400, query);
});

test("list: with a selector a page is as long as asked, and nothing is said about the rest", async () => {
  const path = await namespaceWith("selected", ["a", "b", "c", "d"]);
  const page = await session.get(`${path}?limit=1&labelSelector=!a,!b`);
  assert.deepEqual([names(page), at(page.body, "metadata", "remainingItemCount")], [["c"], undefined]);
  assert.deepEqual(names(await session.get(`${path}?labelSelector=!a,!b&continue=${tokenOf(page)}`)), ["d"]);
});

test("list: Exact shows the state of a resourceVersion, NotOlderThan at least it", async () => {
  const path = await namespaceWith("exact", ["a"]);
  const then = await session.get(path);
  await session.post(path, { metadata: { name: "b" } });
  const exact = await session.get(`${path}?resourceVersion=${versionOf(then)}&resourceVersionMatch=Exact`);
  assert.deepEqual([names(exact), versionOf(exact)], [["a"], versionOf(then)]);
  const fresh = await session.get(
    `${path}?resourceVersion=${versionOf(then)}&resourceVersionMatch=NotOlderThan`,
  );
  assert.deepEqual(names(fresh), ["a", "b"]);
});

test("list: a resourceVersion from the future is waited for, and 504 when it does not come", async () => {
  const path = await namespaceWith("future", ["a"]);
  const next = Number(versionOf(await session.get(path))) + 1;
  const waiting = session.get(`${path}?resourceVersion=${next}`);
  await session.post(path, { metadata: { name: "b" } });
  assert.deepEqual(names(await waiting), ["a", "b"]);
  const late = await session.get(`${path}?resourceVersion=99999999`);
  assert.deepEqual([late.status, late.headers["retry-after"]], [504, "1"]);
});

test("list: field selectors choose by name, node and involved object; unknown fields are 400", async () => {
  const path = await namespaceWith("fields", ["a", "b"]);
  assert.deepEqual(names(await session.get(`${path}?fieldSelector=metadata.name%3Da`)), ["a"]);
  assert.deepEqual(names(await session.get(`${path}?fieldSelector=metadata.name!%3Da`)), ["b"]);
  assert.equal((await session.get(`${path}?fieldSelector=data.x%3Da`)).status, 400);
  const events = "/api/v1/namespaces/fields/events";
  const involvedObject = { kind: "Pod", name: "p", namespace: "fields" };
  await session.post(events, {
    metadata: { name: "e1" },
    involvedObject,
    reason: "R",
    message: "M",
    type: "Normal",
  });
  assert.deepEqual(names(await session.get(`${events}?fieldSelector=involvedObject.name%3Dp`)), ["e1"]);
  assert.deepEqual(names(await session.get(`${events}?fieldSelector=involvedObject.name%3Dq`)), []);
});

test("list: over all namespaces is in the order of namespace and name", async () => {
  await namespaceWith("order-b", ["a"]);
  await namespaceWith("order-a", ["z"]);
  const all = await session.get("/api/v1/secrets?fieldSelector=metadata.namespace!%3Dx");
  const keys = arrayOf(all.body.items).map(
    (each) => `${at(each, "metadata", "namespace")}/${at(each, "metadata", "name")}`,
  );
  assert.deepEqual(keys, keys.toSorted());
});

test("events: core and events.k8s.io show one storage in two forms", async () => {
  await namespaceWith("events", []);
  const path = "/apis/events.k8s.io/v1/namespaces/events/events";
  const event = {
    metadata: { name: "e" },
    regarding: { kind: "Pod", name: "p", namespace: "events" },
    note: "text",
    reason: "R",
    type: "Normal",
    action: "A",
    reportingController: "c",
    reportingInstance: "i",
    eventTime: "2026-01-01T00:00:00.000000Z",
  };
  assert.equal((await session.post(path, event)).status, 201);
  const core = await session.get("/api/v1/namespaces/events/events/e");
  assert.deepEqual(
    [core.body.message, at(core.body, "involvedObject", "name"), core.body.apiVersion],
    ["text", "p", "v1"],
  );
  const back = await session.get(`${path}/e`);
  assert.deepEqual([back.body.note, back.body.apiVersion], ["text", "events.k8s.io/v1"]);
});
