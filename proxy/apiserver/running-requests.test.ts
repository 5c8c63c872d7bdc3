import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { FenceSchema, GroupResourceSchema } from "#api/gen/ctrlmesh/v1/control_pb";
import { FakeClock } from "#runtime/fake-clock";
import type { RawPeer } from "../transport/raw-peers.ts";
import { Harness, requestOf, snapshotOf } from "./raw-harness.ts";

const list = "/api/v1/configmaps";
const watchHead = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
const event = '{"type":"BOOKMARK","object":{}}\n';
const chunkOf = (content: string): string => `${content.length.toString(16)}\r\n${content}\r\n`;
const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const fenceOf = (...namespaces: string[]) => create(FenceSchema, { namespaces });
const never = new AbortController().signal;
/** The message's length is spelled out, so that the client's bytes are known to the last one. */
const expired =
  '{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",' +
  '"message":"the shard of this operator changed; list again (VIEW_CHANGED)","reason":"Expired","code":410}}\n';

interface Open {
  readonly client: RawPeer;
  readonly upstream: RawPeer;
}

async function open(harness: Harness, request: string, head = ""): Promise<Open> {
  const client = await harness.dial();
  client.send(request);
  const upstream = await harness.upstream.accept();
  await upstream.takeHead();
  if (head !== "") {
    upstream.send(head);
    await client.takeHead();
  }
  return { client, upstream };
}

const openWatch = (harness: Harness, target = `${list}?watch=true`, head = watchHead): Promise<Open> =>
  open(harness, requestOf(`GET ${target}`), head);

/** Whether a promise is settled after some turns of the event loop. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const settle = () => {
    settled = true;
  };
  promise.then(settle, settle);
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
  return settled;
}

test("switch: an idle watch gets the 410 in a chunk of its own and the last chunk, to the byte, then both sides end", async () => {
  await using harness = await Harness.start();
  const { client, upstream } = await openWatch(harness);
  upstream.send(chunkOf(event));
  await client.take("\n\r\n");
  const outcome = await harness.proxy.switchTo(snapshotOf("team=b"), never);
  assert.equal(outcome.watchesExpired, 1);
  await client.ended();
  assert.equal(client.received, `${watchHead}${chunkOf(event)}${chunkOf(expired)}0\r\n\r\n`);
  assert.equal(client.hasEnded, true);
  await upstream.ended();
  assert.equal(harness.counters.watchesExpired, 1);
  assert.equal(harness.proxy.requestsOnOlderView, 0);
});

test("switch: a watch in the middle of an event is ended behind it", async () => {
  await using harness = await Harness.start();
  const { client, upstream } = await openWatch(harness);
  upstream.send(chunkOf(event.slice(0, 10)));
  await client.take("\r\n");
  await harness.proxy.switchTo(snapshotOf("team=b"), never);
  assert.equal(harness.proxy.requestsOnOlderView, 1);
  upstream.send(`${chunkOf(event.slice(10))}${chunkOf(event)}`);
  await client.ended();
  const whole = `${chunkOf(event.slice(0, 10))}${chunkOf(event.slice(10))}`;
  assert.equal(client.received, `${watchHead}${whole}${chunkOf(expired)}0\r\n\r\n`);
});

test("switch: an end of an event inside a chunk is no place for the 410", async () => {
  await using harness = await Harness.start();
  const { client, upstream } = await openWatch(harness);
  const two = chunkOf(`${event}${event}`);
  upstream.send(two.slice(0, 4 + event.length));
  await client.take("\n");
  await harness.proxy.switchTo(snapshotOf("team=b"), never);
  upstream.send(two.slice(4 + event.length));
  await client.ended();
  assert.equal(client.received, `${watchHead}${two}${chunkOf(expired)}0\r\n\r\n`);
});

test("switch: a watch that comes to no end of an event within 5 s is cut without a clean end", async () => {
  const clock = new FakeClock();
  await using harness = await Harness.start({ clock });
  const { client, upstream } = await openWatch(harness);
  upstream.send(chunkOf(event.slice(0, 10)));
  await client.take("\r\n");
  await harness.proxy.switchTo(snapshotOf("team=b"), never);
  await clock.advance(5_000);
  await client.ended();
  assert.ok(!client.received.includes("\r\n0\r\n"));
});

test("switch: a watch whose answer has not come yet gets the 410 as its first event", async () => {
  await using harness = await Harness.start();
  const { client, upstream } = await open(harness, requestOf(`GET ${list}?watch=true`));
  await harness.proxy.switchTo(snapshotOf("team=b"), never);
  upstream.send(`${watchHead}${chunkOf(event)}`);
  await client.ended();
  assert.equal(client.received, `${watchHead}${chunkOf(expired)}0\r\n\r\n`);
});

test("switch: a watch that is answered by an error keeps that answer", async () => {
  await using harness = await Harness.start();
  const { client, upstream } = await open(harness, requestOf(`GET ${list}?watch=true`));
  await harness.proxy.switchTo(snapshotOf("team=b"), never);
  upstream.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
  await client.take("\r\n\r\nno");
});

test("switch: a protobuf watch gets its 410 as a length-prefixed frame", async () => {
  await using harness = await Harness.start();
  const head = watchHead.replace("application/json", "application/vnd.kubernetes.protobuf;stream=watch");
  const { client } = await openWatch(harness, `${list}?watch=true`, head);
  await harness.proxy.switchTo(snapshotOf("team=b"), never);
  await client.ended();
  const chunk = Buffer.from(client.received.slice(head.length), "latin1");
  const start = chunk.indexOf("\r\n") + 2;
  const length = Number.parseInt(chunk.toString("latin1", 0, start - 2), 16);
  assert.equal(chunk.readUInt32BE(start), length - 4);
  assert.equal(chunk.toString("latin1", start + length), "\r\n0\r\n\r\n");
});

for (const [name, head] of [
  ["compressed", watchHead.replace("\r\n\r\n", "\r\nContent-Encoding: gzip\r\n\r\n")],
  ["not chunked", "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"],
  ["in an unknown encoding", watchHead.replace("application/json", "application/yaml")],
] as const) {
  test(`switch: a watch whose answer is ${name} is cut`, async () => {
    await using harness = await Harness.start();
    const { client, upstream } = await openWatch(harness, `${list}?watch=true`, head);
    await harness.proxy.switchTo(snapshotOf("team=b"), never);
    await client.ended();
    await upstream.ended();
    assert.equal(client.received, head);
    assert.equal(harness.counters.requestsDestroyed, 1);
  });
}

test("switch: watches whose selector stays, of other resources or in the pod's own namespace, are left alone", async () => {
  await using harness = await Harness.start();
  const targets = [
    "/api/v1/nodes?watch=true",
    "/api/v1/namespaces/own/configmaps?watch=true",
    `${list}?watch=true`,
  ];
  const opened = await Promise.all(targets.map((target) => openWatch(harness, target)));
  const outcome = await harness.proxy.switchTo(snapshotOf("team=a", { fence: fenceOf("lost") }), never);
  assert.equal(outcome.watchesExpired, 0);
  for (const { client } of opened) assert.equal(client.rest, "");
  await harness.proxy.switchTo(snapshotOf("team=b"), never);
  assert.equal(harness.counters.watchesExpired, 1);
  for (const { client } of opened.slice(0, 2)) assert.equal(client.rest, "");
});

test("switch: a watch of a resource that was not limited before gets the 410 too", async () => {
  await using harness = await Harness.start({
    snapshot: snapshotOf("team=a", { unfilteredResources: [{ group: "", resource: "configmaps" }] }),
  });
  const { client } = await openWatch(harness);
  await harness.proxy.switchTo(snapshotOf("team=a"), never);
  await client.take(expired);
});

test("switch: a resource that is not limited any more does not go on from a list of the limited view", async () => {
  const readFloor = () => Promise.resolve({ kind: "known", resourceVersion: "100" } as const);
  await using harness = await Harness.start({ readFloor });
  const { client, upstream } = await open(harness, requestOf(`GET ${list}`));
  upstream.send(ok);
  await client.take("ok");
  const lifted = { unfilteredResources: [create(GroupResourceSchema, { resource: "configmaps" })] };
  await harness.proxy.switchTo(snapshotOf("team=a", lifted), never);
  client.send(requestOf(`GET ${list}?watch=1&resourceVersion=99`));
  assert.match(await client.takeHead(), /^HTTP\/1\.1 410 /);
  for (const target of [`${list}?watch=1&resourceVersion=101`, "/api/v1/nodes?watch=1&resourceVersion=99"]) {
    client.send(requestOf(`GET ${target}`));
    assert.match(
      await upstream.takeHead(),
      /^GET \S+resourceVersion=\d+ /,
      "and nothing is put into the query",
    );
    upstream.send(ok);
    await client.take("ok");
  }
});

test("switch: no new request of a changed resource goes up before the previous lists are over and the floor is read behind them", async () => {
  const reads: string[] = [];
  await using harness = await Harness.start({
    readFloor: () => {
      reads.push("read");
      return Promise.resolve({ kind: "known", resourceVersion: String(100 * reads.length) });
    },
  });
  const previous = await open(harness, requestOf(`GET ${list}`));
  assert.equal(reads.length, 1);
  const outcome = await harness.proxy.switchTo(snapshotOf("team=b"), never);
  assert.equal(outcome.listsDraining, 1);
  const client = await harness.dial();
  client.send(requestOf(`GET ${list}`));
  const next = harness.upstream.accept();
  assert.equal(await isSettled(next), false);
  assert.equal(reads.length, 1);
  previous.upstream.send(ok);
  await previous.client.take("ok");
  const upstream = await next;
  const head = await upstream.takeHead();
  assert.match(head, /labelSelector=team%3Db/);
  assert.equal(reads.length, 2);
});

test("switch: lists of the previous view that last longer than 30 s are cut, and then the resource goes on", async () => {
  const clock = new FakeClock();
  await using harness = await Harness.start({ clock });
  const { client } = await open(
    harness,
    requestOf(`GET ${list}`),
    "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
  );
  await harness.proxy.switchTo(snapshotOf("team=b"), never);
  await clock.advance(30_000);
  await client.ended();
  const second = await harness.dial();
  second.send(requestOf(`GET ${list}`));
  await (await harness.upstream.accept()).takeHead();
});

test("switch: there and back while an old list runs reads the floor once, not again when that list ends", async () => {
  let reads = 0;
  await using harness = await Harness.start({
    readFloor: () => Promise.resolve({ kind: "known", resourceVersion: String(++reads) }),
  });
  const first = await open(harness, requestOf(`GET ${list}`));
  await harness.proxy.switchTo(snapshotOf("team=b"), never);
  await harness.proxy.switchTo(snapshotOf("team=a"), never);
  const before = reads;
  const client = await harness.dial();
  client.send(requestOf(`GET ${list}`));
  const upstream = await harness.upstream.accept();
  assert.match(await upstream.takeHead(), /labelSelector=team%3Da/);
  assert.equal(reads, before + 1);
  first.upstream.send(ok);
  await first.client.take("ok");
  upstream.send(ok);
  await client.take("ok");
  client.send(requestOf(`GET ${list}`));
  await upstream.takeHead();
  assert.equal(reads, before + 1);
});

test("switch: the fence is on at once, and the ack waits for the writes in flight to it", async () => {
  await using harness = await Harness.start();
  const write = (namespace: string) =>
    `${requestOf(`PUT /api/v1/namespaces/${namespace}/configmaps/x`, "Content-Length: 2")}{}`;
  const lost = await open(harness, write("lost"));
  const kept = await open(harness, write("kept"));
  const ack = harness.proxy.switchTo(snapshotOf("team=a", { fence: fenceOf("lost") }), never);
  const late = await harness.dial();
  late.send(write("lost"));
  assert.match(await late.takeHead(), /^HTTP\/1.1 403 /);
  assert.equal(await isSettled(ack), false);
  lost.upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no");
  assert.equal(await isSettled(ack), false);
  lost.upstream.send("k");
  assert.equal((await ack).writesAwaited, 1);
  kept.upstream.send(ok);
  await kept.client.take("ok");
});

test("switch: a deletecollection over all namespaces in flight counts as a write to the fenced ones", async () => {
  await using harness = await Harness.start();
  const { upstream } = await open(harness, requestOf(`DELETE ${list}`));
  const ack = harness.proxy.switchTo(snapshotOf("team=a", { fence: fenceOf("lost") }), never);
  assert.equal(await isSettled(ack), false);
  upstream.send(ok);
  assert.equal((await ack).writesAwaited, 1);
});

test("switch: a write that was abandoned counts as in flight for 5 s more", async () => {
  const clock = new FakeClock();
  await using harness = await Harness.start({ clock });
  const { client, upstream } = await open(harness, requestOf("DELETE /api/v1/namespaces/lost/configmaps/x"));
  upstream.socket.destroy();
  await client.ended();
  const ack = harness.proxy.switchTo(snapshotOf("team=a", { fence: fenceOf("lost") }), never);
  await clock.advance(4_000);
  assert.equal(await isSettled(ack), false);
  await clock.advance(1_000);
  await ack;
});

test("switch: when the ack's time is over the fence stays", async () => {
  await using harness = await Harness.start();
  await open(harness, requestOf("DELETE /api/v1/namespaces/lost/configmaps/x"));
  const stop = new AbortController();
  const next = snapshotOf("team=a", { fence: fenceOf("lost") });
  const ack = harness.proxy.switchTo(next, stop.signal);
  stop.abort(new Error("too late"));
  await assert.rejects(ack, /too late/);
  assert.equal(harness.proxy.snapshot, next);
});

test("switch: an exec session into a fenced namespace is cut, one elsewhere goes on", async () => {
  await using harness = await Harness.start();
  const exec = (namespace: string) =>
    open(
      harness,
      requestOf(
        `GET /api/v1/namespaces/${namespace}/pods/p/exec`,
        "Connection: Upgrade",
        "Upgrade: websocket",
      ),
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
  const [lost, kept] = [await exec("lost"), await exec("kept")];
  const outcome = await harness.proxy.switchTo(snapshotOf("team=a", { fence: fenceOf("lost") }), never);
  assert.equal(outcome.sessionsCut, 1);
  await lost.client.ended();
  await lost.upstream.ended();
  kept.client.send("still");
  await kept.upstream.take("still");
});

test("switch: one request keeps the snapshot that it began with, the next one on the connection has the new one", async () => {
  await using harness = await Harness.start();
  const { client, upstream } = await open(harness, requestOf("GET /api/v1/nodes"));
  client.send(requestOf(`GET ${list}`));
  await harness.proxy.switchTo(snapshotOf("team=b"), never);
  upstream.send(ok);
  assert.match(await upstream.takeHead(), /labelSelector=team%3Db/);
});
