import assert from "node:assert/strict";
import { test } from "node:test";
import { Harness, requestOf } from "#proxy/apiserver/raw-harness";
import { eventually, type RawPeer } from "#proxy/transport/raw-peers";
import { leniencies } from "../fuzz/http1/leniencies.ts";

/** Clients that misbehave, around the real proxy. */

const post = requestOf("POST /api", "Content-Length: 10");
const chunkedPost = requestOf("POST /api", "Transfer-Encoding: chunked");

const stages: readonly (readonly [stage: string, bytes: string, upstreamSees: string])[] = [
  ["before a head", "", ""],
  ["in the request line", "GET /a", ""],
  ["in a head", "GET /api HTTP/1.1\r\nHost: a\r\nAcc", ""],
  ["in a body with a length", `${post}12345`, `${post}12345`],
  ["in a chunk's size", `${chunkedPost}1`, `${chunkedPost}1`],
  ["in a chunk", `${chunkedPost}a\r\n12345`, `${chunkedPost}a\r\n12345`],
  ["before the last chunk", `${chunkedPost}5\r\n12345\r\n`, `${chunkedPost}5\r\n12345\r\n`],
  ["in the trailers", `${chunkedPost}0\r\nT: v\r\n`, `${chunkedPost}0\r\nT: v\r\n`],
];

for (const how of ["end", "destroy"] as const) {
  for (const [stage, bytes, upstreamSees] of stages) {
    test(`peers: a client that goes by ${how} ${stage} leaves nothing behind, and the API server sees no whole request`, async () => {
      await using harness = await Harness.start();
      const client = await harness.dial();
      if (bytes !== "") client.send(bytes);
      let upstream: RawPeer | undefined;
      if (upstreamSees !== "") {
        upstream = await harness.upstream.accept();
        await upstream.take(upstreamSees);
      }
      client.socket[how]();
      await upstream?.ended();
      await eventually(() => harness.counters.connectionsOpen === 0, "the end of the client's connection");
      await eventually(
        () => harness.upstream.openSockets === 0 || upstream?.isClosed === false,
        "no connection left",
      );
      assert.equal(upstream?.received ?? "", upstreamSees);
      assert.equal(harness.upstream.peers.length, upstream === undefined ? 0 : 1);
      assert.equal(client.received, "");
    });
  }
}

test("peers: bytes behind a body that is longer than its length are the next request, and refused as one", async () => {
  await using harness = await Harness.start();
  const client = await harness.dial();
  client.send(`${post}1234567890{"too": "long"}\r\n\r\n`);
  const upstream = await harness.upstream.accept();
  assert.equal(await upstream.take("1234567890"), `${post}1234567890`);
  upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  await client.take("ok");
  assert.match(await client.takeHead(), /^HTTP\/1.1 400 /);
  await client.ended();
  assert.equal(upstream.rest, "");
});

test("peers: a body shorter than its length takes no part of the next request for its own end", async () => {
  await using harness = await Harness.start();
  const client = await harness.dial();
  const secret = requestOf("GET /api/v1/configmaps");
  client.send(`${requestOf("POST /api", `Content-Length: ${secret.length + 2}`)}ok`);
  client.send(secret);
  const upstream = await harness.upstream.accept();
  await upstream.take(secret);
  upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  await client.take("ok");
  // All of it was the body; nothing is left that could be answered, and the next list is filtered.
  client.send(secret);
  assert.match(await upstream.takeHead(), /labelSelector=team%3Da/);
});

test("peers: a hundred heads that never end keep nobody else waiting and open no upstream connection", async () => {
  await using harness = await Harness.start();
  const slow = await Promise.all(Array.from({ length: 100 }, () => harness.dial()));
  for (const client of slow) client.send("GET /api HTTP/1.1\r\nHost: a\r\nX: ");
  for (let count = 0; count < 20; count++) {
    for (const client of slow) client.send("x");
    await new Promise((resolve) => setImmediate(resolve));
  }
  const client = await harness.dial();
  client.send(requestOf("GET /api"));
  const upstream = await harness.upstream.accept();
  await upstream.takeHead();
  upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  await client.take("ok");
  assert.equal(harness.upstream.peers.length, 1);
  assert.ok(slow.every(({ isClosed, received }) => !isClosed && received === ""));
});

for (const { id, examples } of leniencies) {
  for (const [kind, reference, text] of examples) {
    if (kind !== "requests") continue;
    const told = JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}...` : text);
    test(`peers: ${told} (${id}, which ${reference} takes) is refused, and no other request goes up`, async () => {
      await using harness = await Harness.start();
      const client = await harness.dial();
      // Half-closed, so that what waits for more bytes shows.
      const goesUp = headThatIsFine(text);
      client.send(goesUp ?? text);
      if (goesUp !== undefined) {
        const upstream = await harness.upstream.accept();
        assert.equal(await upstream.takeHead(), goesUp);
        client.send(text.slice(goesUp.length));
        if (!goesUp.includes("chunked")) upstream.send("HTTP/1.1 204 No Content\r\n\r\n");
        await client.until(() => /HTTP\/1.1 400 /.test(client.received), "the refusal");
        await upstream.ended();
        assert.equal((upstream.received.match(/HTTP\/1/g) ?? []).length, 1);
      } else {
        assert.match(await client.takeHead(), /^HTTP\/1.1 4(00|31) .*\r\nConnection: close\r\n/s);
      }
      await client.ended();
      assert.equal(harness.upstream.peers.length, goesUp === undefined ? 0 : 1);
    });
  }
}

/** The first head of the text when it is well formed and only what follows is not. */
function headThatIsFine(text: string): string | undefined {
  const end = text.indexOf("\r\n\r\n") + 4;
  const head = text.slice(0, end);
  const isFine = /^POST \/ HTTP\/1.1\r\nHost: a\r\n(Transfer-Encoding: chunked\r\n)?\r\n$/.test(head);
  return isFine && text.length > end ? head : undefined;
}
