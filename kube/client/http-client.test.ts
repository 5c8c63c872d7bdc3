import assert from "node:assert/strict";
import { test } from "node:test";
import { CtrlmeshError } from "#api/errors";
import { FakeClock } from "#runtime/fake-clock";
import { apiStatusOf } from "./api-error.ts";
import { eventually } from "./eventually.ts";
import { respond, scriptedServer, status } from "./scripted-server.ts";

const signal = AbortSignal.timeout(20_000);
const configMaps = { group: "", version: "v1", resource: "configmaps", namespaced: true };
const leases = { group: "coordination.k8s.io", version: "v1", resource: "leases", namespaced: true };
const nodes = { group: "", version: "v1", resource: "nodes", namespaced: false };

for (const { http, reason, code } of [
  { http: 404, reason: "NotFound", code: "API_NOT_FOUND" },
  { http: 409, reason: "AlreadyExists", code: "API_CONFLICT" },
  { http: 401, reason: "Unauthorized", code: "API_FORBIDDEN" },
  { http: 403, reason: "Forbidden", code: "API_FORBIDDEN" },
  { http: 410, reason: "Expired", code: "API_EXPIRED" },
  { http: 422, reason: "Invalid", code: "API_REQUEST_FAILED" },
  { http: 500, reason: "InternalError", code: "API_REQUEST_FAILED" },
  { http: 429, reason: "TooManyRequests", code: "API_REQUEST_FAILED" },
]) {
  test(`http client: a ${http} ${reason} becomes ${code} with the server's words`, async () => {
    await using server = await scriptedServer((_, response) =>
      respond(response, http, status(http, reason, `no: ${reason}`)),
    );
    await assert.rejects(
      server.client.get(configMaps, { namespace: "a", name: "b" }, { signal }),
      (error) => {
        assert.ok(error instanceof CtrlmeshError);
        assert.equal(error.code, code);
        assert.match(error.message, new RegExp(`GET /api/v1/namespaces/a/configmaps/b: no: ${reason}`));
        assert.equal(apiStatusOf(error)?.httpStatus, http);
        assert.equal(apiStatusOf(error)?.reason, reason);
        return true;
      },
    );
  });
}

test("http client: no server answers with API_UNREACHABLE", async () => {
  const server = await scriptedServer((_, response) => respond(response, 200, {}));
  await server[Symbol.asyncDispose]();
  await assert.rejects(server.client.get(nodes, { name: "b" }, { signal }), { code: "API_UNREACHABLE" });
});

test("http client: 429 with Retry-After is repeated after that time, and the caller is told", async () => {
  const clock = new FakeClock();
  let throttled = 0;
  await using server = await scriptedServer((_, response) => {
    if (server.seen.length < 3)
      respond(response, 429, status(429, "TooManyRequests", "slow"), { "retry-after": "7" });
    else respond(response, 200, { metadata: { name: "b" } });
  }, clock);
  const options = { signal, onThrottle: () => void throttled++ };
  const written = server.client.patch(nodes, { name: "b" }, { type: "merge", body: { a: 1 } }, options);
  for (let n = 1; n <= 2; n++) {
    await server.request(n);
    await eventually(() => throttled === n, "the call to be told of the throttling");
    await clock.whenWaiting(1);
    await clock.advance(6_999);
    assert.equal(server.seen.length, n, "repeated before the time");
    await clock.advance(1);
  }
  assert.equal((await written).metadata?.name, "b");
  assert.deepEqual(
    server.seen.map((each) => each.body),
    ['{"a":1}', '{"a":1}', '{"a":1}'],
  );
});

test("http client: an abort ends the wait for Retry-After with the signal's reason", async () => {
  await using server = await scriptedServer((_, response) =>
    respond(response, 503, status(503, "ServiceUnavailable", "later"), { "retry-after": "60" }),
  );
  const stop = new AbortController();
  const reason = new Error("stopped by the test");
  const call = server.client.get(
    nodes,
    { name: "b" },
    {
      signal: stop.signal,
      onThrottle: () => setImmediate(() => stop.abort(reason)),
    },
  );
  await assert.rejects(call, reason);
});

test("http client: an answer that does not come within its deadline is API_UNREACHABLE", async () => {
  const clock = new FakeClock();
  await using server = await scriptedServer(() => {}, clock);
  const call = server.client.get(nodes, { name: "b" }, { signal });
  const failed = assert.rejects(call, { code: "API_UNREACHABLE", message: /no answer within 65 s/ });
  await server.request(1);
  await clock.advance(65_000);
  await failed;
});

test("http client: a 401 reads the credentials again and tries once more", async () => {
  await using server = await scriptedServer((request, response) => {
    const isFresh = request.headers.authorization === "Bearer fresh";
    respond(response, isFresh ? 200 : 401, isFresh ? {} : status(401, "Unauthorized", "old token"));
  });
  await server.client.create(configMaps, { metadata: { name: "x", namespace: "a" } }, { signal });
  assert.equal(server.seen.length, 2);
});

test("http client: paths, media types and parameters are those of the API", async () => {
  await using server = await scriptedServer((_, response) =>
    respond(response, 200, { metadata: {}, items: null }),
  );
  const { client } = server;
  await client.list(configMaps, { labelSelector: "!a,b in (c)", limit: 2, metadataOnly: true }, { signal });
  await client.list(configMaps, { namespace: "n", continueToken: "t", resourceVersion: "5" }, { signal });
  const body = { metadata: { name: "a:b" } };
  await client.patch(
    leases,
    { namespace: "n", name: "a:b" },
    { type: "apply", body, force: true },
    {
      signal,
      subresource: "status",
      fieldManager: "me",
      dryRun: true,
    },
  );
  await client.delete(nodes, { name: "x" }, { signal, uid: "u1" });
  const [first, second, third, fourth] = server.seen;
  assert.equal(first?.path, "/api/v1/configmaps");
  assert.equal(first?.query.get("labelSelector"), "!a,b in (c)");
  assert.match(first?.headers.accept ?? "", /as=PartialObjectMetadataList/);
  assert.equal(second?.query.toString(), "continue=t");
  assert.equal(third?.path, "/apis/coordination.k8s.io/v1/namespaces/n/leases/a%3Ab/status");
  assert.equal(third?.query.toString(), "fieldManager=me&dryRun=All&force=true");
  assert.equal(third?.headers["content-type"], "application/apply-patch+yaml");
  assert.equal(third?.headers["user-agent"], "test/1");
  assert.deepEqual(JSON.parse(fourth?.body ?? ""), {
    apiVersion: "v1",
    kind: "DeleteOptions",
    preconditions: { uid: "u1" },
  });
});

test("http client: a namespaced object without its namespace is refused before anything is sent", async () => {
  await using server = await scriptedServer((_, response) => respond(response, 200, {}));
  await assert.rejects(server.client.get(configMaps, { name: "b" }, { signal }), { code: "INTERNAL" });
  assert.equal(server.seen.length, 0);
});

test("http client: a watch delivers events whatever the chunks, drops managedFields, and ends with the server", async () => {
  const event = (type: string, version: string) =>
    JSON.stringify({
      type,
      object: { metadata: { name: "ä", resourceVersion: version, managedFields: [1] } },
    });
  const bytes = Buffer.from(
    `${event("ADDED", "5")}\n${event("BOOKMARK", "9")}\n${event("DELETED", "10")}\n{"half`,
  );
  await using server = await scriptedServer((_, response) => {
    response.writeHead(200);
    const send = (at: number): void => {
      if (at >= bytes.length) response.end();
      else response.write(bytes.subarray(at, at + 7), () => setImmediate(send, at + 7));
    };
    send(0);
  });
  const events = await collect(server.client.watch(configMaps, { resourceVersion: "4" }, { signal }));
  assert.deepEqual(events, [
    { type: "ADDED", object: { metadata: { name: "ä", resourceVersion: "5" } } },
    { type: "BOOKMARK", resourceVersion: "9" },
    { type: "DELETED", object: { metadata: { name: "ä", resourceVersion: "10" } } },
  ]);
  assert.equal(server.seen[0]?.query.get("allowWatchBookmarks"), "true");
});

test("http client: an ERROR event of a watch throws the error of its Status", async () => {
  await using server = await scriptedServer((_, response) =>
    respond(response, 200, { type: "ERROR", object: status(410, "Expired", "too old") }),
  );
  // The line has no end yet when the connection closes, so the body must end with one.
  await using ended = await scriptedServer((_, response) => {
    response.end(`${JSON.stringify({ type: "ERROR", object: status(410, "Expired", "too old") })}\n`);
  });
  const watch = ended.client.watch(configMaps, { resourceVersion: "4" }, { signal });
  await assert.rejects(collect(watch), { code: "API_EXPIRED", message: /too old/ });
  assert.deepEqual(await collect(server.client.watch(configMaps, { resourceVersion: "4" }, { signal })), []);
});

test("http client: leaving a watch closes its connection", async () => {
  const closed = Promise.withResolvers<void>();
  await using server = await scriptedServer((_, response) => {
    response.on("close", () => closed.resolve());
    response.write('{"type":"ADDED","object":{"metadata":{"name":"a"}}}\n');
  });
  for await (const event of server.client.watch(configMaps, { resourceVersion: "4" }, { signal })) {
    assert.equal(event.type, "ADDED");
    break;
  }
  await closed.promise;
});

async function collect<T>(events: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const event of events) all.push(event);
  return all;
}
