import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectTcp } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import { FakeClock } from "#runtime/fake-clock";
import {
  createIdentity,
  dialRaw,
  eventually,
  type RawPeer,
  RawUpstream,
  RawWire,
} from "../transport/raw-peers.ts";
import { Harness, requestOf } from "./raw-harness.ts";

const list = "/api/v1/configmaps";
const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/** Target of a request head. */
const targetOf = (head: string): string => head.split(" ")[1] ?? "";

/** Sends a limited list and checks that it reaches the API server with the selector. */
async function listIsFiltered(client: RawPeer, upstream: RawPeer): Promise<void> {
  client.send(requestOf(`GET ${list}`));
  assert.match(targetOf(await upstream.takeHead()), /labelSelector=team%3Da/);
  upstream.send(ok);
  await client.take("ok");
}

test("proxy: a request that is not limited goes up byte for byte, and its answer comes down byte for byte", async () => {
  await using harness = await Harness.start();
  const client = await harness.dial();
  const request = requestOf(
    "GET /api/v1/nodes?x=%2F&&y",
    "aCCept:  application/json ",
    "Authorization: Bearer x",
    "X-Odd: \t\u00e4 ",
  );
  client.send(request);
  const upstream = await harness.upstream.accept();
  assert.equal(await upstream.takeHead(), request);
  const answer = "HTTP/1.1 200 fine\r\nX-B: 1\r\nx-a:2\r\nContent-Length: 3\r\n\r\nabc";
  upstream.send(answer);
  assert.equal(await client.take("abc"), answer);
  assert.equal(upstream.rest, "");
});

test("proxy: a list of a limited resource goes up with the selector and nothing else changed", async () => {
  await using harness = await Harness.start();
  const client = await harness.dial();
  client.send(requestOf(`GET ${list}`, "Accept: application/json", "X-Other: kept"));
  const upstream = await harness.upstream.accept();
  const head = await upstream.takeHead();
  assert.match(targetOf(head), /labelSelector=team%3Da/);
  assert.equal(head, requestOf(`GET ${targetOf(head)}`, "Accept: application/json", "X-Other: kept"));
  upstream.send(ok);
  await client.take("ok");
  assert.equal(harness.counters.requests.list.filtered, 1);
  assert.equal(harness.counters.responses[2], 1);
});

test("proxy: a refused upgrade leaves the connection in HTTP, and the next list on it has the selector", async () => {
  await using harness = await Harness.start();
  const client = await harness.dial();
  const exec = requestOf(
    "POST /api/v1/namespaces/a/pods/p/exec?command=sh",
    "Connection: Upgrade",
    "Upgrade: SPDY/3.1",
  );
  client.send(exec);
  const upstream = await harness.upstream.accept();
  assert.equal(await upstream.takeHead(), exec);
  upstream.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
  await client.take("no");
  await listIsFiltered(client, upstream);
});

for (const [method, protocol] of [
  ["POST", "SPDY/3.1"],
  ["GET", "websocket"],
] as const) {
  test(`proxy: exec by ${method} over ${protocol} is a raw tunnel from 101 on, early bytes and half-close included`, async () => {
    await using harness = await Harness.start();
    const client = await harness.dial();
    client.send(
      requestOf(`${method} /api/v1/namespaces/a/pods/p/exec`, "Connection: Upgrade", `Upgrade: ${protocol}`),
    );
    const upstream = await harness.upstream.accept();
    await upstream.takeHead();
    client.send("early\r\n\r\n");
    upstream.send(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n\r\nfirst`,
    );
    assert.match(await client.take("first"), /^HTTP\/1.1 101 /);
    assert.equal(await upstream.take("early\r\n\r\n"), "early\r\n\r\n");
    assert.equal(harness.counters.tunnelsOpen, 1);
    client.send(`GET ${list} HTTP/1.1\r\n\r\n`);
    assert.equal(await upstream.take("\r\n\r\n"), `GET ${list} HTTP/1.1\r\n\r\n`);
    client.socket.end();
    await upstream.ended();
    upstream.send("last");
    await client.take("last");
    upstream.socket.end();
    await client.closed();
    await upstream.ended();
    assert.equal(harness.counters.tunnelsOpen, 0);
  });
}

test("proxy: an upgrade to a protocol that carries further requests is refused with nothing upstream", async () => {
  await using harness = await Harness.start();
  for (const protocol of ["h2c", "websocket, H2C", "HTTP/2.0", "TLS/1.2"]) {
    const client = await harness.dial();
    client.send(requestOf("GET /api", "Connection: upgrade", `Upgrade: ${protocol}`));
    assert.match(await client.takeHead(), /^HTTP\/1.1 400 /);
    await client.take("UPGRADE_NOT_SUPPORTED");
  }
  assert.equal(harness.upstream.peers.length, 0);
});

test("proxy: 101 that nobody asked for ends both sides", async () => {
  await using harness = await Harness.start();
  const client = await harness.dial();
  client.send(requestOf("GET /api"));
  const upstream = await harness.upstream.accept();
  await upstream.takeHead();
  upstream.send("HTTP/1.1 101 Switching Protocols\r\n\r\n");
  assert.match(await client.takeHead(), /^HTTP\/1.1 502 /);
  await client.ended();
  await upstream.ended();
});

test("proxy: a head of 500 KB passes", async () => {
  await using harness = await Harness.start();
  const client = await harness.dial();
  const request = requestOf("GET /api", `X: ${"x".repeat(500_000)}`);
  client.send(request);
  const upstream = await harness.upstream.accept();
  assert.equal(await upstream.takeHead(), request);
});

test("proxy: a head over 1 MiB is answered 431 with nothing upstream", async () => {
  await using harness = await Harness.start();
  const client = await harness.dial();
  client.send(requestOf("GET /api", `X: ${"x".repeat(1 << 20)}`));
  assert.match(await client.takeHead(), /^HTTP\/1.1 431 /);
  await client.take("REQUEST_HEAD_TOO_LARGE");
  await client.ended();
  assert.equal(harness.upstream.peers.length, 0);
});

const smuggled: readonly (readonly [name: string, request: string])[] = [
  [
    "Content-Length with Transfer-Encoding",
    "POST /api HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  ],
  ["two lengths", "POST /api HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 40\r\n\r\nabcd"],
  ["bare LF", `GET /api HTTP/1.1\nHost: a\n\nGET ${list} HTTP/1.1\r\n\r\n`],
  ["a folded header", "GET /api HTTP/1.1\r\nHost: a\r\nX: y\r\n Content-Length: 40\r\n\r\n"],
  ["a blank before the colon", "POST /api HTTP/1.1\r\nHost: a\r\nContent-Length : 40\r\n\r\n"],
  ["an absolute target", `GET https://a${list} HTTP/1.1\r\nHost: a\r\n\r\n`],
  ["HTTP/2 by prior knowledge", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
];

for (const [name, request] of smuggled) {
  test(`proxy: ${name} gets a Status with 400 and the end of the connection, and nothing reaches the API server`, async () => {
    await using harness = await Harness.start();
    const client = await harness.dial();
    client.send(request);
    const head = await client.takeHead();
    assert.match(head, /^HTTP\/1.1 400 Bad Request\r\n/);
    assert.match(head, /\r\nConnection: close\r\n/);
    await client.ended();
    const status: unknown = JSON.parse(client.rest);
    assert.ok(typeof status === "object" && status !== null && "reason" in status);
    assert.equal(status.reason, "BadRequest");
    assert.equal(client.hasEnded, true);
    assert.equal(harness.upstream.peers.length, 0);
  });
}

test("proxy: a malformed chunk in a request's body ends the upstream connection and is answered 400", async () => {
  await using harness = await Harness.start();
  const client = await harness.dial();
  client.send(requestOf("POST /api", "Transfer-Encoding: chunked"));
  const upstream = await harness.upstream.accept();
  await upstream.takeHead();
  client.send("5\nhello\r\n0\r\n\r\n");
  assert.match(await client.takeHead(), /^HTTP\/1.1 400 /);
  await upstream.ended();
});

test("proxy: pipelined requests are answered in order, local answers in their place", async () => {
  await using harness = await Harness.start();
  const client = await harness.dial();
  const upgrade = requestOf("GET /api", "Connection: upgrade", "Upgrade: h2c");
  client.send(requestOf("GET /one") + upgrade + requestOf(`GET ${list}`) + requestOf("GET /four"));
  const upstream = await harness.upstream.accept();
  assert.match(await upstream.takeHead(), /^GET \/one /);
  assert.equal(upstream.rest, "");
  assert.equal(client.received, "");
  upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none");
  assert.match(targetOf(await upstream.takeHead()), /labelSelector/);
  upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nthree");
  assert.match(await upstream.takeHead(), /^GET \/four /);
  upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfour");
  await client.take("four");
  const order = ["one", "UPGRADE_NOT_SUPPORTED", "three", "four"].map((text) =>
    client.received.indexOf(text),
  );
  assert.deepEqual(
    order,
    [...order].sort((left, right) => left - right),
  );
  assert.ok(!order.includes(-1));
});

test("proxy: pipelined requests behind the client's half-close are all answered, then the connection ends", async () => {
  await using harness = await Harness.start();
  const client = await harness.dial();
  client.send(
    requestOf("GET /one") +
      requestOf("GET /api", "Connection: upgrade", "Upgrade: h2c") +
      requestOf("GET /three"),
  );
  client.socket.end();
  const upstream = await harness.upstream.accept();
  await upstream.takeHead();
  upstream.send(ok);
  assert.match(await upstream.takeHead(), /^GET \/three /);
  upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nthree");
  await client.take("three");
  await client.closed();
  await upstream.ended();
});

test("proxy: the client's half-close reaches the API server, and the answer still comes", async () => {
  await using harness = await Harness.start();
  const client = await harness.dial();
  client.send(requestOf("GET /api"));
  client.socket.end();
  const upstream = await harness.upstream.accept();
  await upstream.takeHead();
  await upstream.ended();
  upstream.send(ok);
  await client.take("ok");
  await client.closed();
});

test("proxy: a client that goes in the middle of its body takes the upstream connection with it", async () => {
  await using harness = await Harness.start();
  const client = await harness.dial();
  client.send(`${requestOf("POST /api", "Content-Length: 10")}half`);
  const upstream = await harness.upstream.accept();
  await upstream.take("half");
  client.socket.end();
  await upstream.ended();
});

for (const [name, head] of [
  ["length", "Content-Length: 10"],
  ["chunks", "Transfer-Encoding: chunked"],
] as const) {
  test(`proxy: a response by ${name} that the API server cuts short is an error and no clean end`, async () => {
    await using harness = await Harness.start();
    const client = await harness.dial();
    client.send(requestOf("GET /api"));
    const upstream = await harness.upstream.accept();
    await upstream.takeHead();
    upstream.send(`HTTP/1.1 200 OK\r\n${head}\r\n\r\n5\r\nhello`);
    await client.take("hello");
    upstream.socket.destroy();
    await client.ended();
    assert.ok(client.received.endsWith("hello"));
  });
}

test("proxy: a client that vanishes in the middle of a large response takes the upstream connection with it", async () => {
  await using harness = await Harness.start();
  const client = await harness.dial();
  client.send(requestOf("GET /api"));
  const upstream = await harness.upstream.accept();
  await upstream.takeHead();
  upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
  await client.takeHead();
  client.socket.pause();
  upstream.send(Buffer.alloc(16 * 1024 * 1024));
  await eventually(() => client.socket.bytesRead > 64 * 1024, "bytes that nobody reads");
  client.socket.destroy();
  await upstream.ended();
});

test("proxy: the end of a connection is announced by TLS only behind a whole response", async () => {
  await using harness = await Harness.start();
  for (const [body, isWhole] of [
    ["10 bytes", false],
    ["10 bytes..", true],
  ] as const) {
    await using wire = await RawWire.start(harness.proxy.address.port);
    const client = await dialRaw(wire.port, harness.identity.caPem, "TLSv1.2");
    client.send(requestOf("GET /api", "Connection: close"));
    const upstream = await harness.upstream.accept();
    await upstream.takeHead();
    upstream.send(`HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n${body}`);
    await client.take(body);
    upstream.socket.destroy();
    await client.ended();
    assert.equal(wire.hasCloseNotify, isWhole);
    client.socket.destroy();
  }
});

test("proxy: a response that lasts until the connection ends is ended cleanly", async () => {
  await using harness = await Harness.start();
  const client = await harness.dial();
  client.send("GET /api HTTP/1.0\r\n\r\n");
  const upstream = await harness.upstream.accept();
  await upstream.takeHead();
  upstream.send("HTTP/1.0 200 OK\r\n\r\nall of it");
  upstream.socket.end();
  await client.take("all of it");
  await client.ended();
  assert.equal(client.hasEnded, true);
});

test("proxy: bytes behind the end of a response end both sides instead of answering the next request", async () => {
  await using harness = await Harness.start();
  const client = await harness.dial();
  client.send(requestOf("GET /one") + requestOf("GET /two"));
  const upstream = await harness.upstream.accept();
  await upstream.takeHead();
  upstream.send(`${ok}HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled`);
  await client.ended();
  await upstream.ended();
  assert.doesNotMatch(client.received, /smuggled/);
});

test("proxy: a malformed response is answered 502 and passes no byte", async () => {
  await using harness = await Harness.start();
  const client = await harness.dial();
  client.send(requestOf("GET /api"));
  const upstream = await harness.upstream.accept();
  await upstream.takeHead();
  upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok");
  assert.match(await client.takeHead(), /^HTTP\/1.1 502 /);
  await client.ended();
  await upstream.ended();
  assert.doesNotMatch(client.received, /ok$/);
});

test("proxy: the cancel of 20 watches reaches the API server", async () => {
  await using harness = await Harness.start();
  for (let index = 0; index < 20; index++) {
    const client = await harness.dial();
    client.send(requestOf(`GET ${list}?watch=true`));
    const upstream = await harness.upstream.accept();
    await upstream.takeHead();
    upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n");
    await client.takeHead();
    client.socket.destroy();
    await upstream.ended();
  }
});

test("proxy: informational answers, Expect and trailers pass untouched", async () => {
  await using harness = await Harness.start();
  const client = await harness.dial();
  client.send(requestOf("PUT /api", "Transfer-Encoding: chunked", "Expect: 100-continue", "Trailer: T"));
  const upstream = await harness.upstream.accept();
  await upstream.takeHead();
  upstream.send("HTTP/1.1 100 Continue\r\n\r\n");
  await client.takeHead();
  const body = "5;x=y\r\nhello\r\n0\r\nT: v\r\n\r\n";
  client.send(body);
  assert.equal(await upstream.take("T: v\r\n\r\n"), body);
  const answer = `HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${body}`;
  upstream.send(answer);
  assert.equal(await client.take("T: v\r\n\r\n"), answer);
  await listIsFiltered(client, upstream);
});

test("proxy: a refusal of Expect: 100-continue comes without the body, and the connection ends behind it", async () => {
  await using harness = await Harness.start({ snapshot: undefined });
  const client = await harness.dial();
  client.send(
    requestOf("PUT /api/v1/namespaces/a/configmaps/b", "Content-Length: 10", "Expect: 100-continue"),
  );
  const head = await client.takeHead();
  assert.match(head, /^HTTP\/1.1 429 .*\r\nConnection: close\r\n/s);
  assert.match(head, /\r\nRetry-After: \d+\r\n/);
  await client.ended();
  assert.equal(harness.upstream.peers.length, 0);
});

test("proxy: a refused request's body is dropped and the next request is served; behind a large one the connection ends", async () => {
  await using harness = await Harness.start({ snapshot: undefined });
  const client = await harness.dial();
  const refused = requestOf("PUT /api/v1/namespaces/a/configmaps/b", "Content-Length: 50");
  client.send(`${refused}${requestOf("GET /smuggled").padEnd(50, "x").slice(0, 50)}${requestOf("GET /api")}`);
  await client.take("NO_SNAPSHOT");
  await client.take("NO_SNAPSHOT");
  client.send(requestOf("PUT /api/v1/namespaces/a/configmaps/b", "Content-Length: 500000"));
  assert.match(await client.takeHead(), /^\}\n?|Connection: close/s);
  await client.ended();
  assert.equal(client.received.split("HTTP/1.1 429").length - 1, 3);
});

test("proxy: the answer to a refused HEAD has the length of the body and no body", async () => {
  await using harness = await Harness.start({ snapshot: undefined });
  const client = await harness.dial();
  client.send(requestOf("HEAD /api") + requestOf("GET /api"));
  const [head, next] = [await client.takeHead(), await client.takeHead()];
  assert.match(head, /Content-Length: [1-9]/);
  assert.match(next, /^HTTP\/1.1 429 /);
});

test("proxy: a refusal speaks the encoding that was asked for", async () => {
  await using harness = await Harness.start({ snapshot: undefined });
  const client = await harness.dial();
  client.send(requestOf("GET /api", "Accept: application/vnd.kubernetes.protobuf, application/json"));
  assert.match(await client.takeHead(), /Content-Type: application\/vnd.kubernetes.protobuf\r\n/);
  await client.take("k8s\0");
});

for (const [name, method, answer] of [
  ["HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"],
  ["204", "GET", "HTTP/1.1 204 No Content\r\n\r\n"],
  ["304", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n"],
] as const) {
  test(`proxy: after ${name} the connection goes on with the next request`, async () => {
    await using harness = await Harness.start();
    const client = await harness.dial();
    client.send(requestOf(`${method} /api`));
    const upstream = await harness.upstream.accept();
    await upstream.takeHead();
    upstream.send(answer);
    assert.equal(await client.takeHead(), answer);
    await listIsFiltered(client, upstream);
  });
}

test("proxy: an early answer that ends the connection reaches a client that is still sending", async () => {
  await using harness = await Harness.start();
  const client = await harness.dial();
  client.send(requestOf("POST /api", "Content-Length: 10000000"));
  const upstream = await harness.upstream.accept();
  await upstream.takeHead();
  upstream.send("HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig");
  upstream.socket.destroySoon();
  client.send("x".repeat(1_000_000));
  await client.take("big");
  await client.ended();
});

test("proxy: an API server that closes an idle connection closes the client's", async () => {
  await using harness = await Harness.start();
  const client = await harness.dial();
  client.send(requestOf("GET /api"));
  const upstream = await harness.upstream.accept();
  await upstream.takeHead();
  upstream.send(ok);
  await client.take("ok");
  upstream.socket.end();
  await client.ended();
});

test("proxy: an API server that is not there is a 503 with Retry-After", async () => {
  await using harness = await Harness.start();
  await harness.upstream[Symbol.asyncDispose]();
  const client = await harness.dial();
  client.send(requestOf("GET /api"));
  assert.match(await client.takeHead(), /^HTTP\/1.1 503 .*\r\nRetry-After: 1\r\n/s);
  await client.take("UPSTREAM_UNREACHABLE");
});

test("D37: an API server whose certificate is not of the given authority gets no byte of a request", async () => {
  const other = await createIdentity();
  await using stranger = await RawUpstream.start(other);
  const trusted = await createIdentity();
  await using harness = await Harness.start({
    upstream: { host: "127.0.0.1", port: stranger.port, servername: "127.0.0.1", ca: () => trusted.caPem },
  });
  const client = await harness.dial();
  client.send(requestOf("GET /api", "Authorization: Bearer secret"));
  assert.match(await client.takeHead(), /^HTTP\/1.1 503 /);
  assert.ok(stranger.peers.every((peer) => peer.received === ""));
});

test("proxy: an API server whose certificate has another name gets no byte of a request", async () => {
  await using harness = await Harness.start();
  await using wrong = await Harness.start({
    upstream: {
      host: "127.0.0.1",
      port: harness.upstream.port,
      servername: "kubernetes.default.svc",
      ca: () => harness.identity.caPem,
    },
  });
  const client = await wrong.dial();
  client.send(requestOf("GET /api", "Authorization: Bearer secret"));
  assert.match(await client.takeHead(), /^HTTP\/1.1 503 /);
  assert.ok(harness.upstream.peers.every((peer) => peer.received === ""));
});

test("proxy: a floor that stays unknown is 429 FLOOR_UNKNOWN after 5 s, and nothing went upstream", async () => {
  const clock = new FakeClock();
  await using harness = await Harness.start({ clock, readFloor: () => new Promise(() => undefined) });
  const client = await harness.dial();
  client.send(requestOf(`GET ${list}`));
  await clock.whenWaiting(1);
  await clock.advance(4_999);
  assert.equal(client.received, "");
  await clock.advance(1);
  assert.match(await client.takeHead(), /^HTTP\/1.1 429 .*\r\nRetry-After: 1\r\n/s);
  assert.equal(harness.upstream.peers.length, 0);
});

test("proxy: parallel opens while TLS does not stand yet send each request whole", async () => {
  await using harness = await Harness.start();
  const clients = await Promise.all(Array.from({ length: 40 }, () => harness.dial()));
  const requests = clients.map((_, index) =>
    requestOf(
      `GET /api/${index}`,
      `X: ${String(index)
        .padStart(3, "0")
        .repeat(index % 2 === 0 ? 10 : 40_000)}`,
    ),
  );
  for (const [index, client] of clients.entries()) client.send(requests[index] ?? "");
  const heads = await Promise.all(clients.map(async () => (await harness.upstream.accept()).takeHead()));
  assert.deepEqual(heads.sort(), requests.sort());
});

test("proxy: any split of the bytes, one at a time included, gives the same bytes upstream", async () => {
  await using harness = await Harness.start();
  const body = "5;a\r\nhello\r\n0\r\nT: v\r\n\r\n";
  const requests = [
    requestOf("GET /one"),
    `${requestOf("POST /two", "Transfer-Encoding: chunked")}${body}`,
    requestOf(`GET ${list}?limit=5`),
    `${requestOf("PUT /four", "Content-Length: 3")}abc`,
  ];
  const text = requests.join("");
  const relayed = async (pieces: readonly string[]): Promise<string> => {
    const client = await harness.dial();
    const upstreamReady = harness.upstream.accept();
    for (const piece of pieces)
      await new Promise((resolve) => client.socket.write(Buffer.from(piece, "latin1"), resolve));
    const upstream = await upstreamReady;
    for (const end of ["one HTTP/1.1\r\nHost: api\r\n\r\n", "T: v\r\n\r\n", "\r\n\r\n", "abc"]) {
      await upstream.take(end);
      upstream.send(ok);
    }
    for (let answers = 0; answers < 4; answers++) await client.take("ok");
    client.socket.destroy();
    return upstream.received;
  };
  const whole = await relayed([text]);
  assert.match(whole, /labelSelector=team%3Da/);
  assert.equal(await relayed([...text]), whole);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 0, max: text.length }), { maxLength: 6 }), async (cuts) => {
      const places = [0, ...cuts.sort((left, right) => left - right), text.length];
      assert.equal(await relayed(places.slice(1).map((end, index) => text.slice(places[index], end))), whole);
    }),
    { numRuns: 25 },
  );
});

test("proxy: a client that does not read holds the API server back, and both get everything in the end", async () => {
  await using harness = await Harness.start();
  const client = await harness.dial();
  client.send(requestOf("GET /api"));
  const upstream = await harness.upstream.accept();
  await upstream.takeHead();
  client.socket.pause();
  const size = 64 * 1024 * 1024;
  const before = process.memoryUsage().arrayBuffers;
  upstream.send(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`);
  const block = Buffer.alloc(1024 * 1024, "x");
  for (let sent = 0; sent < size; sent += block.length) upstream.send(block);
  // For some turns of the loop: whatever the proxy takes in, it has taken then.
  for (let turn = 0; turn < 500; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(upstream.socket.writableLength > size / 2, "the API server's writes do not stall");
  assert.ok(process.memoryUsage().arrayBuffers - before < 8 * 1024 * 1024);
  client.socket.resume();
  await client.until(() => client.receivedBytes >= size, "the whole body");
});

test("proxy: an API server that does not read holds the client back", async () => {
  await using harness = await Harness.start();
  const client = await harness.dial();
  const size = 32 * 1024 * 1024;
  client.send(requestOf("PUT /api", `Content-Length: ${size}`));
  const upstream = await harness.upstream.accept();
  await upstream.takeHead();
  upstream.socket.pause();
  const before = process.memoryUsage().arrayBuffers;
  const block = Buffer.alloc(1024 * 1024, "x");
  for (let sent = 0; sent < size; sent += block.length) client.send(block);
  for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(client.socket.writableLength > 16 * 1024 * 1024, "the client's writes do not stall");
  assert.ok(process.memoryUsage().arrayBuffers - before < 12 * 1024 * 1024);
  const taken = upstream.receivedBytes;
  upstream.socket.resume();
  await upstream.until(() => upstream.receivedBytes >= taken + size / 2, "half of the body");
});

test("proxy: after 50 connections no socket, timer or running request is left", async () => {
  const clock = new FakeClock();
  await using harness = await Harness.start({ clock });
  const openSockets = () =>
    process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length;
  const sockets = openSockets();
  for (let index = 0; index < 50; index++) {
    const client = await harness.dial();
    client.send(index % 3 === 0 ? requestOf(`GET ${list}`) : requestOf("GET /api"));
    const upstream = await harness.upstream.accept();
    await upstream.takeHead();
    if (index % 2 === 0) {
      upstream.send(ok);
      await client.take("ok");
      client.socket.end();
      await client.closed();
    } else client.socket.destroy();
    await upstream.ended();
    upstream.socket.end();
    await upstream.closed();
  }
  await eventually(() => harness.counters.connectionsOpen === 0, "no connection open");
  await eventually(() => openSockets() <= sockets, "as many sockets as before");
  assert.equal(harness.counters.connectionsAccepted, 50);
  await eventually(() => harness.upstream.openSockets === 0, "no upstream socket open");
  assert.equal(clock.waiting, 0);
  assert.equal(harness.proxy.requestsOnOlderView, 0);
});

test("proxy: a handshake that comes to nothing leaves no socket", async () => {
  await using harness = await Harness.start({ handshakeTimeoutMs: 100 });
  const { port } = harness.proxy.address;
  const openSockets = () =>
    process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length;
  const sockets = openSockets();
  for (const bytes of ["GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x00\x02\x01\x00"]) {
    const client = connectTcp({ host: "127.0.0.1", port });
    client.on("error", () => undefined);
    client.write(Buffer.from(bytes, "latin1"));
    client.resume();
    await once(client, "close");
  }
  await eventually(() => harness.counters.handshakeFailures === 2, "two failed handshakes");
  await eventually(() => openSockets() <= sockets, "as many sockets as before");
});

test("proxy: a client that goes as soon as it has shaken hands leaves no socket behind the handshake's timeout", async () => {
  await using harness = await Harness.start({ handshakeTimeoutMs: 100 });
  const openSockets = () =>
    process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length;
  const sockets = openSockets();
  for (let index = 0; index < 20; index++) (await harness.dial()).socket.destroy();
  await eventually(() => openSockets() <= sockets, "as many sockets as before");
  assert.equal(harness.counters.connectionsOpen, 0);
});

test("proxy: a renewed certificate serves new connections, and open ones go on", async () => {
  await using harness = await Harness.start();
  const client = await harness.dial();
  client.send(requestOf("GET /api"));
  const upstream = await harness.upstream.accept();
  await upstream.takeHead();
  const next = await createIdentity();
  harness.proxy.useIdentity({ privateKeyPem: next.privateKeyPem, certificateChainPem: next.certificatePem });
  const later = await dialRaw(harness.proxy.address.port, next.caPem);
  later.socket.destroy();
  upstream.send(ok);
  await client.take("ok");
});
