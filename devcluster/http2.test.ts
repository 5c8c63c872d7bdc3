import assert from "node:assert/strict";
import { once } from "node:events";
import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from "node:http2";
import { after, before, test } from "node:test";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { TestSession } from "./test-session.ts";

let session: TestSession;
before(async () => {
  session = await TestSession.start();
});
after(() => session?.[Symbol.asyncDispose]());

const secrets = "/api/v1/namespaces/default/secrets";

async function connected(target = session): Promise<ClientHttp2Session> {
  const client = connect(target.server.url, { ca: target.server.caPem });
  await once(client, "connect");
  return client;
}

interface H2Answer {
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

function ask(client: ClientHttp2Session, method: string, path: string, body?: unknown): Promise<H2Answer> {
  return new Promise((resolve, reject) => {
    const stream = client.request({
      ":method": method,
      ":path": path,
      authorization: `Bearer ${session.server.adminToken}`,
      "content-type": "application/json",
    });
    let headers: IncomingHttpHeaders = {};
    let text = "";
    stream.on("response", (each) => {
      headers = each;
    });
    stream.setEncoding("utf8");
    stream.on("data", (chunk: string) => {
      text += chunk;
    });
    stream.on("end", () => resolve({ headers, text }));
    stream.on("error", reject);
    stream.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

async function negotiated(target: TestSession, offered: string[]): Promise<string | false | null> {
  const { port, caPem } = target.server;
  const socket: TLSSocket = connectTls({ port, host: "127.0.0.1", ca: caPem, ALPNProtocols: offered });
  await once(socket, "secureConnect");
  socket.destroy();
  return socket.alpnProtocol;
}

test("HTTP/2: ALPN offers it before HTTP/1.1, which stays for those who want no more", async () => {
  assert.equal(await negotiated(session, ["http/1.1", "h2"]), "h2");
  assert.equal(await negotiated(session, ["http/1.1"]), "http/1.1");
  await using old = await TestSession.start({ http2: false });
  assert.equal(await negotiated(old, ["h2", "http/1.1"]), "http/1.1");
});

test("HTTP/2: many requests run at once on one connection, with a watch between them", async () => {
  const client = await connected();
  try {
    const watch = client.request({
      ":path": `${secrets}?watch=1&timeoutSeconds=60`,
      authorization: `Bearer ${session.server.adminToken}`,
    });
    watch.setEncoding("utf8");
    let events = "";
    const seen = new Promise<void>((resolve) => {
      watch.on("data", (chunk: string) => {
        events += chunk;
        if (events.split("\n").length > 20) resolve();
      });
    });
    await once(watch, "response");
    const made = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        ask(client, "POST", secrets, { metadata: { name: `h2-${index}` } }),
      ),
    );
    assert.deepEqual(
      made.map(({ headers }) => headers[":status"]),
      made.map(() => 201),
    );
    await seen;
    const open = session.server.openWatches();
    watch.close();
    await session.until("the watch forgotten", secrets, () => session.server.openWatches() === open - 1);
    const { headers, text } = await ask(client, "GET", `${secrets}/absent`);
    assert.equal(headers[":status"], 404);
    assert.match(text, /secrets \\"absent\\" not found/);
  } finally {
    client.destroy();
  }
});

test("HTTP/2: a body of a megabyte arrives, one above the limit is refused and the connection goes on", async () => {
  const client = await connected();
  try {
    const big = (name: string, bytes: number) => ({ metadata: { name }, data: { x: "A".repeat(bytes) } });
    const fits = await ask(client, "POST", "/api/v1/namespaces/default/configmaps", big("fits", 1_000_000));
    assert.equal(fits.headers[":status"], 201);
    const refused = await ask(client, "POST", secrets, big("refused", 4_000_000));
    assert.equal(refused.headers[":status"], 413);
    assert.equal((await ask(client, "GET", "/version")).headers[":status"], 200);
  } finally {
    client.destroy();
  }
});

test("HTTP/2: faults reach it: an expired watch ends with its stream, a stopped server with the connection", async () => {
  await using own = await TestSession.start();
  const client = await connected(own);
  client.on("error", () => {});
  const headers = { authorization: `Bearer ${own.server.adminToken}`, ":path": `${secrets}?watch=1` };
  const watch = client.request(headers);
  watch.setEncoding("utf8");
  await once(watch, "response");
  own.server.faults.expireWatches();
  const [event] = (await once(watch, "data")) as [string];
  assert.match(event, /"ERROR".*"code":410/);
  await once(watch, "end");
  const closed = once(client, "close");
  await own.server.faults.stopListening();
  await closed;
});
