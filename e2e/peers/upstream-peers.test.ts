import assert from "node:assert/strict";
import { test } from "node:test";
import { Harness, requestOf } from "#proxy/apiserver/raw-harness";
import { dialRaw, type RawPeer, RawWire } from "#proxy/transport/raw-peers";

/** API servers that misbehave, around the real proxy. */

const list = "/api/v1/configmaps";
const lengthHead = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";
const chunkedHead = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";

/** The connection is in step: its next list goes up with the selector and gets its own answer. */
async function nextListIsFiltered(client: RawPeer, upstream: RawPeer): Promise<void> {
  client.send(requestOf(`GET ${list}`));
  assert.match(await upstream.takeHead(), /^GET \/api\/v1\/configmaps\?labelSelector=team%3Da /);
  upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext");
  assert.match(await client.take("next"), /^HTTP\/1.1 200 /);
}

const cutShort: readonly (readonly [stage: string, target: string, answer: string])[] = [
  ["before the head", "/api", ""],
  ["in the status line", "/api", "HTTP/1.1 2"],
  ["in the head", "/api", "HTTP/1.1 200 OK\r\nContent-Le"],
  ["behind an informational head", "/api", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"],
  ["behind the head", "/api", lengthHead],
  ["in a body with a length", "/api", `${lengthHead}123456789`],
  ["in a chunk's size", "/api", `${chunkedHead}a`],
  ["in a chunk", "/api", `${chunkedHead}a\r\n12345`],
  ["behind a chunk's content", "/api", `${chunkedHead}5\r\n12345`],
  ["between two chunks", "/api", `${chunkedHead}5\r\n12345\r\n`],
  ["in the last chunk", "/api", `${chunkedHead}5\r\n12345\r\n0\r\n`],
  ["in the trailers", "/api", `${chunkedHead}5\r\n12345\r\n0\r\nT: v\r\n`],
  ["in a watch, between two events", `${list}?watch=true`, `${chunkedHead}3\r\n{}\n\r\n`],
  ["in an event of a watch", `${list}?watch=true`, `${chunkedHead}3\r\n{}\n\r\n9\r\n{"ty`],
];

for (const how of ["end", "destroy", "reset"] as const) {
  for (const [stage, target, answer] of cutShort) {
    test(`peers: an API server that goes by ${how} ${stage} is seen as an error, not as a clean end`, async () => {
      await using harness = await Harness.start();
      await using wire = await RawWire.start(harness.proxy.address.port);
      const client = await dialRaw(wire.port, harness.identity.caPem, "TLSv1.2");
      client.send(requestOf(`GET ${target}`) + requestOf("GET /behind"));
      const upstream = await harness.upstream.accept();
      await upstream.takeHead();
      // What passes before the cut: whole heads and all of a body; half a head is held back.
      const passed = answer.includes("\r\n\r\n") ? answer : "";
      if (answer !== "") upstream.send(answer);
      await client.until(() => client.received === passed, "what came before the cut");
      if (how === "reset") harness.upstream.reset();
      else upstream.socket[how]();
      await client.ended();
      assert.equal(client.received, passed);
      assert.equal(wire.hasCloseNotify, false);
      await upstream.ended();
      assert.doesNotMatch(upstream.received, /behind/);
      client.socket.destroy();
    });
  }
}

const tooMuch: readonly (readonly [name: string, answer: string, whole: string])[] = [
  ["with a length", `${lengthHead}1234567890`, "1234567890"],
  ["in chunks", `${chunkedHead}5\r\n12345\r\n0\r\n\r\n`, "0\r\n\r\n"],
  ["without a body", "HTTP/1.1 204 No Content\r\n\r\n", ""],
];

for (const [name, answer] of tooMuch) {
  test(`peers: bytes behind the end of an answer ${name} reach no later request, also when they come later`, async () => {
    await using harness = await Harness.start();
    const client = await harness.dial();
    client.send(requestOf("GET /one"));
    const upstream = await harness.upstream.accept();
    await upstream.takeHead();
    upstream.send(answer);
    await client.until(() => client.received === answer, "the answer");
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled");
    await client.ended();
    await upstream.ended();
    assert.equal(client.received, answer);
  });
}

test("peers: an answer that comes byte by byte passes unchanged, informational heads and trailers too", async () => {
  await using harness = await Harness.start();
  const client = await harness.dial();
  const answer = `HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n${chunkedHead}5;a=b\r\nhello\r\n0\r\nT: v\r\nU: w\r\n\r\n`;
  client.send(requestOf("GET /api", "TE: trailers"));
  const upstream = await harness.upstream.accept();
  await upstream.takeHead();
  for (const byte of answer) {
    upstream.send(byte);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await client.until(() => client.received.length >= answer.length, "the whole answer");
  assert.equal(await client.takeBytes(answer.length), answer);
  await nextListIsFiltered(client, upstream);
});

test("peers: a hundred informational answers pass before the final one", async () => {
  await using harness = await Harness.start();
  const client = await harness.dial();
  client.send(requestOf("GET /api"));
  const upstream = await harness.upstream.accept();
  await upstream.takeHead();
  const answer = `${"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".repeat(100)}${lengthHead}1234567890`;
  upstream.send(answer);
  assert.equal(await client.takeBytes(answer.length), answer);
  await nextListIsFiltered(client, upstream);
});

test("peers: an answer's head of 900 KB passes, one of more than 1 MiB is a 502", async () => {
  await using harness = await Harness.start();
  for (const [size, status] of [
    [900_000, 200],
    [1 << 20, 502],
  ] as const) {
    const client = await harness.dial();
    client.send(requestOf("GET /api"));
    const upstream = await harness.upstream.accept();
    await upstream.takeHead();
    upstream.send(`HTTP/1.1 200 OK\r\nX: ${"x".repeat(size)}\r\nContent-Length: 0\r\n\r\n`);
    assert.match(await client.takeHead(), new RegExp(`^HTTP/1.1 ${status} `));
  }
});

test("peers: an answer that comes before the body is done leaves the connection in step", async () => {
  await using harness = await Harness.start();
  const client = await harness.dial();
  const head = requestOf("POST /api", "Transfer-Encoding: chunked");
  client.send(`${head}5\r\nhel`);
  const upstream = await harness.upstream.accept();
  await upstream.take("hel");
  upstream.send(`${lengthHead}1234567890`);
  await client.take("1234567890");
  client.send("lo\r\n0\r\n\r\n");
  assert.equal(await upstream.take("lo\r\n0\r\n\r\n"), "lo\r\n0\r\n\r\n");
  await nextListIsFiltered(client, upstream);
});

test("peers: a second answer while the body still runs ends both sides", async () => {
  await using harness = await Harness.start();
  const client = await harness.dial();
  client.send(`${requestOf("POST /api", "Content-Length: 10")}12345`);
  const upstream = await harness.upstream.accept();
  await upstream.take("12345");
  upstream.send(`${lengthHead}1234567890`);
  await client.take("1234567890");
  upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled");
  await client.ended();
  await upstream.ended();
  assert.doesNotMatch(client.received, /smuggled/);
});

test("peers: an answer to HEAD that has a body after all reaches no later request", async () => {
  await using harness = await Harness.start();
  const client = await harness.dial();
  client.send(requestOf("HEAD /api"));
  const upstream = await harness.upstream.accept();
  await upstream.takeHead();
  upstream.send(`${lengthHead}1234567890`);
  await client.ended();
  assert.doesNotMatch(client.received, /1234567890/);
  await upstream.ended();
});
