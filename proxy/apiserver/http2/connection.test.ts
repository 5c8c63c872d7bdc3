import assert from "node:assert/strict";
import { once } from "node:events";
import { constants } from "node:http2";
import { test } from "node:test";
import { snapshotOf } from "../raw-harness.ts";
import { answerOf, ask, Http2Harness, send, within } from "./http2-harness.ts";

const lists = "/api/v1/configmaps";
const never = new AbortController().signal;

test("D33: five hundred watches of one client take one connection, and one to the API server", async () => {
  await using mesh = await Http2Harness.start();
  const client = await mesh.dial();
  for (let index = 0; index < 500; index++) {
    const watch = send(client, { ":path": `${lists}?watch=1` });
    watch.on("error", () => undefined);
    const { stream, headers } = await mesh.upstream.next();
    assert.equal(headers[":path"], `${lists}?labelSelector=team%3Da&watch=1`);
    stream.respond({ ":status": 200, "content-type": "application/json" });
    stream.write('{"type":"ADDED","object":{}}\n');
    if (index % 100 === 0) {
      watch.setEncoding("utf8");
      assert.deepEqual(await within(once(watch, "data"), "an event"), ['{"type":"ADDED","object":{}}\n']);
    }
  }
  assert.equal(mesh.inner.counters.connectionsOpen, 1);
  assert.equal(mesh.upstream.sessions.size, 1);
});

test("http2: what an operator sends and gets is what it would be without the proxy", async () => {
  await using mesh = await Http2Harness.start();
  const client = await mesh.dial();
  const body = "b".repeat(300_000);
  const call = send(
    client,
    { ":method": "POST", ":path": "/api/v1/namespaces/x/pods", authorization: "Bearer t", "x-odd": "\u00e9" },
    body,
  );
  const { stream, headers } = await mesh.upstream.next();
  assert.equal(headers[":method"], "POST");
  assert.equal(headers[":path"], "/api/v1/namespaces/x/pods");
  assert.equal(headers.authorization, "Bearer t");
  assert.equal(headers["x-odd"], "\u00e9");
  stream.setEncoding("utf8");
  assert.equal((await within(stream.toArray(), "the request's content")).join(""), body);
  stream.additionalHeaders({ ":status": 103, link: "<a>" });
  stream.respond({ ":status": 201, "x-answer": "1" }, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers({ "x-trailer": "end" }));
  const trailers = once(call, "trailers");
  stream.end(body);
  const answer = await answerOf(call);
  assert.equal(answer.status, 201);
  assert.equal(answer.headers["x-answer"], "1");
  assert.equal(answer.body, body);
  assert.equal((await trailers)[0]["x-trailer"], "end");
});

test("http2: a refused request costs neither its neighbours nor the connection anything", async () => {
  await using mesh = await Http2Harness.start();
  const client = await mesh.dial();
  const running = send(client, { ":path": "/version" });
  const seen = await mesh.upstream.next();
  for (let index = 0; index < 200; index++) {
    const body = index % 2 === 0 ? undefined : "x".repeat(1_000);
    const refused = await ask(client, "//api", { ":method": body === undefined ? "GET" : "POST" }, body);
    assert.equal(refused.status, 400);
    assert.match(refused.body, /MALFORMED_REQUEST/);
    const next = send(client, { ":path": `/healthz?n=${index}` });
    const { stream, headers } = await mesh.upstream.next();
    assert.equal(headers[":path"], `/healthz?n=${index}`);
    stream.respond({ ":status": 200 });
    stream.end("ok");
    assert.equal((await answerOf(next)).body, "ok");
  }
  seen.stream.respond({ ":status": 200 });
  seen.stream.end("late");
  assert.equal((await answerOf(running)).body, "late");
  assert.equal(mesh.upstream.sessions.size, 1);
});

test("http2: a list that waits for its floor is overtaken, and then goes on", async () => {
  const floor = Promise.withResolvers<void>();
  await using mesh = await Http2Harness.start({
    readFloor: async () => {
      await floor.promise;
      return { kind: "known", resourceVersion: "100" };
    },
  });
  const client = await mesh.dial();
  const list = send(client, { ":path": lists });
  const other = send(client, { ":path": "/version" });
  const first = await mesh.upstream.next();
  assert.equal(first.headers[":path"], "/version");
  first.stream.respond({ ":status": 200 });
  first.stream.end("v");
  assert.equal((await answerOf(other)).body, "v");
  floor.resolve();
  const second = await mesh.upstream.next();
  assert.match(String(second.headers[":path"]), /labelSelector=team%3Da/);
  second.stream.respond({ ":status": 200 });
  second.stream.end("l");
  assert.equal((await answerOf(list)).body, "l");
});

test("http2: a change of view ends a watch between two events with 410, and nothing else on the connection", async () => {
  await using mesh = await Http2Harness.start();
  const client = await mesh.dial();
  const watch = send(client, { ":path": `${lists}?watch=1` });
  const { stream } = await mesh.upstream.next();
  stream.respond({ ":status": 200, "content-type": "application/json" });
  stream.write('{"type":"ADDED",');
  watch.setEncoding("utf8");
  await within(once(watch, "data"), "half an event");
  const other = send(client, { ":path": "/api/v1/namespaces/own/configmaps?watch=1" });
  const unlimited = await mesh.upstream.next();
  unlimited.stream.respond({ ":status": 200, "content-type": "application/json" });
  await within(once(other, "response"), "the other watch");
  let rest = "";
  watch.on("data", (chunk: string) => {
    rest += chunk;
  });
  const ended = once(watch, "end");
  await mesh.inner.proxy.switchTo(snapshotOf("team=b"), never);
  assert.equal(rest, "", "not inside an event");
  const closed = once(stream, "close");
  stream.write('"object":{}}\n');
  await within(ended, "the end of the watch");
  assert.match(rest, /^"object":\{\}\}\n\{"type":"ERROR",.*"reason":"Expired","code":410\}\}\n$/);
  await within(closed, "the end of the API server's watch");
  assert.equal(stream.rstCode, constants.NGHTTP2_CANCEL);
  unlimited.stream.write("{}\n");
  other.setEncoding("utf8");
  assert.deepEqual(await within(once(other, "data"), "an event of the other watch"), ["{}\n"]);
});

test("http2: without an API server each request is told so, and the client comes again on another connection", async () => {
  await using mesh = await Http2Harness.start();
  const client = await mesh.dial();
  await mesh.upstream[Symbol.asyncDispose]();
  const again = await mesh.dial();
  const answers = await Promise.all([1, 2, 3].map((n) => ask(again, `/version?n=${n}`)));
  for (const { status, headers, body } of answers) {
    assert.equal(status, 503);
    assert.equal(headers["retry-after"], "1");
    assert.match(body, /UPSTREAM_UNREACHABLE/);
  }
  await within(once(again, "close"), "the end of the connection");
  client.destroy();
});
