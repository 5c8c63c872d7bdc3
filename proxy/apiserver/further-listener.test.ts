import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { test } from "node:test";
import { connect } from "node:tls";
import { Harness, requestOf } from "./raw-harness.ts";

async function freePort(host: string): Promise<number> {
  const server = createServer().listen({ host, port: 0 });
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return address !== null && typeof address === "object" ? address.port : assert.fail("no port");
}

test("proxy: what comes in at a further address is limited and drained like the rest", async () => {
  const alsoListen = await Promise.all(
    ["127.0.0.1", "::1"].map(async (host) => ({ host, port: await freePort(host) })),
  );
  await using harness = await Harness.start({ alsoListen });
  for (const address of alsoListen) {
    const client = connect({ ...address, ca: harness.identity.caPem, servername: "localhost" });
    client.on("error", () => {});
    await once(client, "secureConnect");
    client.write(requestOf("GET /api/v1/configmaps"));
    const upstream = await harness.upstream.accept();
    assert.match(await upstream.takeHead(), /labelSelector=team%3Da/);
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    const [answer] = await once(client, "data");
    assert.match(String(answer), /ok$/);
    client.destroy();
  }
  assert.equal(harness.counters.connectionsAccepted, 2);
  const drained = harness.proxy.drain(new AbortController().signal);
  for (const address of alsoListen) {
    const late = connect({ ...address, ca: harness.identity.caPem });
    const [error] = await once(late, "error");
    assert.equal(error.code, "ECONNREFUSED");
  }
  await drained;
});

test("proxy: a further address that is taken is an error, and nothing stays open", async () => {
  const taken = createServer().listen({ host: "127.0.0.1", port: 0 });
  await once(taken, "listening");
  const address = taken.address();
  assert.ok(address !== null && typeof address === "object");
  const listen = { host: "127.0.0.1", port: await freePort("127.0.0.1") };
  await assert.rejects(Harness.start({ listen, alsoListen: [{ host: "127.0.0.1", port: address.port }] }), {
    code: "PORT_IN_USE",
  });
  const left = connect(listen);
  const [error] = await once(left, "error");
  assert.equal(error.code, "ECONNREFUSED");
  taken.close();
});

test("proxy: without IPv6 there is no ::1 to listen on, and the proxy serves all the same", async () => {
  // An address of documentation (RFC 3849) fails as ::1 does where IPv6 is off.
  await using harness = await Harness.start({ alsoListen: [{ host: "2001:db8::1", port: 5443 }] });
  const client = await harness.dial();
  client.send(requestOf("GET /api/v1/configmaps"));
  assert.match(await (await harness.upstream.accept()).takeHead(), /labelSelector=team%3Da/);
});
