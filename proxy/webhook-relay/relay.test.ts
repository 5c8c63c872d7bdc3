import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { test } from "node:test";
import { FakeClock } from "#runtime/fake-clock";
import { type Log, type LogFields, silentLog } from "#runtime/log";
import { readIntervalMs } from "./operator-certificate.ts";
import {
  answersWith,
  putKeyPair,
  RelayedPod,
  reviewOf,
  routesOf,
  type SeenRequest,
  send,
  webhookKeyPair,
} from "./relay-harness.ts";
import { reviewLimitBytes } from "./review-bodies.ts";

const teamA = reviewOf({ resource: { group: "", resource: "configmaps" }, namespace: "team-a", name: "x" });
const hosts = { stable: "127.0.0.2", canary: "127.0.0.3", gone: "127.0.0.4" };
const canaryHasTeamA = (addresses: readonly string[], key?: number) =>
  routesOf(
    { stable: { namespaces: ["shop"], addresses: [] }, canary: { namespaces: ["team-a"], addresses } },
    key,
  );

/** A pod of each of two shards; the first knows the way to the second. */
async function twoPods(stack: AsyncDisposableStack, operator = answersWith("canary")) {
  const canary = stack.use(
    await RelayedPod.start("canary", { shard: "canary", host: hosts.canary, operator }),
  );
  const stable = stack.use(
    await RelayedPod.start("stable", {
      shard: "stable",
      host: hosts.stable,
      peerPort: canary.relay.peerPort,
    }),
  );
  const routes = canaryHasTeamA([hosts.canary]);
  for (const { relay } of [canary, stable]) relay.take(routes);
  return { canary, stable, entry: { host: hosts.stable, port: stable.relay.port } };
}

test("relay: a review of another shard's namespace is answered by its pod, byte for byte", async () => {
  await using stack = new AsyncDisposableStack();
  const { canary, stable, entry } = await twoPods(stack);
  const answer = await send(entry, teamA, {
    path: "/validate-x?timeout=5s",
    headers: { "content-type": "application/json", "user-agent": "kube-apiserver", "x-trace": "1" },
  });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers["x-answered-by"], "canary");
  assert.equal(stable.seen.length, 0);
  assert.equal(canary.seen.length, 1);
  const [seen] = canary.seen as [SeenRequest];
  assert.deepEqual([seen.method, seen.url, seen.body], ["POST", "/validate-x?timeout=5s", teamA]);
  assert.deepEqual([seen.headers["user-agent"], seen.headers["x-trace"]], ["kube-apiserver", "1"]);
  assert.deepEqual([...stable.relay.counters.outcomes], [["forwarded", 1]]);
  assert.equal(canary.relay.counters.received, 1);
});

test("relay: what no other shard has is answered here", async () => {
  await using stack = new AsyncDisposableStack();
  const { canary, stable, entry } = await twoPods(stack);
  const resource = { group: "", resource: "configmaps" };
  const bodies = [
    reviewOf({ resource, namespace: "shop" }),
    reviewOf({ resource: { group: "", resource: "nodes" }, name: "n" }),
    reviewOf({ resource, namespace: "nobodys" }),
    JSON.stringify({ kind: "ConversionReview", request: {} }),
  ];
  for (const body of bodies) assert.equal((await send(entry, body)).headers["x-answered-by"], "stable");
  assert.equal(
    (await send(entry, "", { method: "GET", path: "/healthz" })).headers["x-answered-by"],
    "stable",
  );
  assert.deepEqual(
    stable.seen.map(({ method, body }) => `${method} ${body}`),
    [...bodies.map((body) => `POST ${body}`), "GET "],
  );
  assert.equal(canary.seen.length, 0);
  assert.deepEqual(Object.fromEntries(stable.relay.counters.outcomes), {
    own: 1,
    cluster_scoped: 1,
    unsharded: 1,
    other: 2,
  });
});

test("relay: a forwarded review is answered where it arrives, also when that pod would send it back", async () => {
  await using stack = new AsyncDisposableStack();
  const { canary, stable, entry } = await twoPods(stack);
  canary.relay.take(routesOf({ stable: { namespaces: ["team-a"], addresses: [hosts.stable] } }));
  assert.equal((await send(entry, teamA)).headers["x-answered-by"], "canary");
  assert.equal(stable.seen.length, 0);
});

test("relay: without routes everything is answered here", async () => {
  await using pod = await RelayedPod.start("stable", { shard: "stable", host: hosts.stable });
  const answer = await send({ host: hosts.stable, port: pod.relay.port }, teamA);
  assert.equal(answer.headers["x-answered-by"], "stable");
  assert.deepEqual([...pod.relay.counters.outcomes], [["no_routes", 1]]);
});

test("relay: a pod that is gone costs one attempt, and without any the answer is 503 and never this operator's", async () => {
  await using stack = new AsyncDisposableStack();
  const { stable, entry } = await twoPods(stack);
  stable.relay.take(canaryHasTeamA([hosts.gone, hosts.canary]));
  assert.equal((await send(entry, teamA)).headers["x-answered-by"], "canary");
  assert.equal(stable.relay.counters.failedAttempts, 1);
  stable.relay.take(canaryHasTeamA([hosts.gone]));
  const unreachable = await send(entry, teamA);
  assert.deepEqual([unreachable.status, /no pod .* answered/.test(unreachable.body)], [503, true]);
  stable.relay.take(canaryHasTeamA([]));
  const none = await send(entry, teamA);
  assert.deepEqual([none.status, /has no ready pod/.test(none.body)], [503, true]);
  assert.equal(stable.seen.length, 0);
});

test("relay: a kept connection that is closed meanwhile costs no review", async () => {
  await using stack = new AsyncDisposableStack();
  const used = new WeakSet<object>();
  let closed = 0;
  // As a server whose idle time is over: takes one request of each connection.
  const { canary, stable, entry } = await twoPods(stack, (request, response) => {
    const { socket } = response;
    assert.ok(socket !== null);
    if (used.has(socket)) {
      closed += 1;
      socket.destroy();
      return;
    }
    used.add(socket);
    answersWith("canary")(request, response);
  });
  for (let review = 0; review < 5; review++) assert.equal((await send(entry, teamA)).status, 200);
  assert.ok(closed > 0, "connections are kept");
  assert.equal(stable.relay.counters.failedAttempts, 0);
  assert.equal(canary.relay.counters.received, 5);
});

test("relay: a pod whose operator does not answer counts as gone", async () => {
  await using stack = new AsyncDisposableStack();
  const { stable, entry } = await twoPods(stack, (_request, response) => response.destroy());
  const answer = await send(entry, teamA);
  assert.equal(answer.status, 503);
  assert.equal(stable.relay.counters.failedAttempts, 1);
});

test("relay: the way between pods is open to holders of the group's key only", async () => {
  await using stack = new AsyncDisposableStack();
  const { canary, stable, entry } = await twoPods(stack);
  const peers = { host: hosts.canary, port: canary.relay.peerPort };
  await assert.rejects(send(peers, teamA), "no key");
  const ciphers = "TLS_AES_128_GCM_SHA256";
  for (const identity of ["ctrlmesh-webhook-relay", "ctrlmesh-webhook-relay 0123456789abcdef"]) {
    const pskCallback = () => ({ psk: Buffer.alloc(32), identity });
    await assert.rejects(send(peers, teamA, { pskCallback, ciphers, checkServerIdentity: () => undefined }));
  }
  stable.relay.take(canaryHasTeamA([hosts.canary], 2));
  assert.equal((await send(entry, teamA)).status, 503, "a key of another group");
  assert.equal(canary.seen.length, 0);
  assert.equal(canary.relay.counters.strangers, 4);
});

test("relay: while a new key is on its way to all pods, the one before it is taken too", async () => {
  await using stack = new AsyncDisposableStack();
  const { canary, stable, entry } = await twoPods(stack);
  canary.relay.take(canaryHasTeamA([hosts.canary], 2));
  assert.equal((await send(entry, teamA)).status, 200);
  stable.relay.take(canaryHasTeamA([hosts.canary], 2));
  assert.equal((await send(entry, teamA)).status, 200);
  canary.relay.take(canaryHasTeamA([hosts.canary], 3));
  canary.relay.take(canaryHasTeamA([hosts.canary], 4));
  stable.relay.take(canaryHasTeamA([hosts.canary], 1));
  assert.equal((await send(entry, teamA)).status, 503, "an earlier key");
});

test("relay: an operator that does not answer is given up when the API server gives up", async () => {
  const asked = Promise.withResolvers<void>();
  const clock = new FakeClock();
  await using pod = await RelayedPod.start("stable", {
    shard: "stable",
    host: hosts.stable,
    clock,
    operator: () => asked.resolve(),
  });
  const answer = send({ host: hosts.stable, port: pod.relay.port }, teamA, { path: "/validate?timeout=3s" });
  await asked.promise;
  await clock.advance(3_000);
  assert.equal((await answer).status, 502);
});

test("relay: when the API server goes away, so does the request to the operator", async () => {
  const closed = Promise.withResolvers<void>();
  const gone = new AbortController();
  await using stack = new AsyncDisposableStack();
  const { entry } = await twoPods(stack, (_request, response) => {
    void once(response, "close").then(() => closed.resolve());
    gone.abort();
  });
  await assert.rejects(send(entry, teamA, { signal: gone.signal }));
  await closed.promise;
});

test("relay: a body that is larger than a review can be is refused unread, and the next review goes on", async () => {
  await using stack = new AsyncDisposableStack();
  const { canary, stable, entry } = await twoPods(stack);
  const padding = "x".repeat(reviewLimitBytes);
  const answer = await send(entry, reviewOf({ namespace: "team-a", padding })).catch(() => undefined);
  // The connection may break before the answer is read: the rest of the body meets a closed one.
  assert.ok(answer === undefined || answer.status === 413);
  assert.deepEqual([...stable.relay.counters.outcomes], [["too_large", 1]]);
  assert.equal((await send(entry, teamA)).status, 200);
  assert.equal(canary.seen.length, 1);
});

test("relay: the operator's certificate is served, waited for, and followed when it changes", async () => {
  const clock = new FakeClock();
  await using pod = await RelayedPod.start("stable", {
    shard: "stable",
    host: hosts.stable,
    clock,
    withoutCertificate: true,
  });
  const target = { host: hosts.stable, port: pod.relay.port };
  await assert.rejects(send(target, teamA));
  for (const renewal of ["first", "second"]) {
    const pair = await webhookKeyPair();
    await putKeyPair(pod.directory, pair);
    const expected = new X509Certificate(pair.cert).fingerprint256;
    let shown = "";
    for (let look = 0; look < 200 && shown !== expected; look++) {
      await clock.advance(readIntervalMs);
      shown = await send(target, teamA).then(
        ({ fingerprint }) => fingerprint,
        () => "",
      );
    }
    assert.equal(shown, expected, renewal);
  }
});

test("relay: a certificate and a key that don't belong together change nothing", async () => {
  const clock = new FakeClock();
  const told = Promise.withResolvers<string>();
  const warn = (_message: string, fields?: LogFields) =>
    told.resolve(fields?.error instanceof Error ? fields.error.message : "");
  const log: Log = { ...silentLog, warn };
  await using pod = await RelayedPod.start("stable", { shard: "stable", host: hosts.stable, clock, log });
  const target = { host: hosts.stable, port: pod.relay.port };
  const { fingerprint } = await send(target, teamA);
  const [{ cert }, { key }] = [await webhookKeyPair(), await webhookKeyPair()];
  await putKeyPair(pod.directory, { cert, key });
  await clock.advance(readIntervalMs);
  assert.match(await told.promise, /tls\.key is not the key of tls\.crt/);
  assert.equal((await send(target, teamA)).fingerprint, fingerprint);
});
