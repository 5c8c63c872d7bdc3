import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { CtrlmeshError, type ErrorCode } from "#api/errors";
import { createAuthority, issueCertificate } from "#runtime/x509";
import { FloorReader } from "./floor-reader.ts";
import type { FloorQuestion } from "./floor-scope.ts";

const authority = await createAuthority({ commonName: "test", days: 1 });
const leaf = await issueCertificate(authority, {
  commonName: "apiserver",
  dnsNames: ["localhost"],
  ipAddresses: ["127.0.0.1"],
  days: 1,
  usage: "server",
});

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** An API server that answers as told, and a reader of it with files of its own. */
async function setUp(answer: Answer) {
  const directory = await mkdtemp(join(tmpdir(), "floor-reader-"));
  const tokenFile = join(directory, "token");
  const caFile = join(directory, "ca.crt");
  await writeFile(tokenFile, "first\n");
  await writeFile(caFile, authority.certificatePem);
  const server = createServer({ key: leaf.privateKeyPem, cert: leaf.certificatePem }, answer);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  const stop = new AbortController();
  const reader = new FloorReader({
    host: "127.0.0.1",
    port: address.port,
    tokenFile,
    caFile,
  });
  return {
    read: (question: FloorQuestion) => reader.read(question, stop.signal),
    stop,
    tokenFile,
    caFile,
    [Symbol.asyncDispose]: async () => {
      reader[Symbol.dispose]();
      server.closeAllConnections();
      server.close();
      await once(server, "close");
      await rm(directory, { recursive: true });
    },
  };
}

function answering(status: number, body: string): Answer {
  return (_request, response) => response.writeHead(status).end(body);
}

const podsOfTeamA = {
  group: "",
  version: "v1",
  resource: "pods",
  namespace: undefined,
  selector: "team in (a,b)",
};
const list = (resourceVersion: unknown) =>
  JSON.stringify({ kind: "List", metadata: { resourceVersion }, items: [] });

async function assertRejects(promise: Promise<unknown>, code: ErrorCode): Promise<void> {
  await assert.rejects(promise, (error: unknown) => error instanceof CtrlmeshError && error.code === code);
}

test("floor reader: it lists one object's metadata, consistently, with the pod's token and the shard's selector", async () => {
  const seen: {
    url: string | undefined;
    accept: string | undefined;
    authorization: string | undefined;
    agent: string | undefined;
  }[] = [];
  await using bench = await setUp(({ url, headers }, response) => {
    seen.push({
      url,
      accept: headers.accept,
      authorization: headers.authorization,
      agent: headers["user-agent"],
    });
    response.end(list("123"));
  });
  assert.deepEqual(await bench.read(podsOfTeamA), {
    kind: "known",
    resourceVersion: "123",
  });
  await bench.read({
    ...podsOfTeamA,
    group: "apps",
    resource: "deployments",
    namespace: "x",
  });
  assert.deepEqual(
    seen.map((request) => request.url),
    [
      "/api/v1/pods?limit=1&labelSelector=team%20in%20(a%2Cb)",
      "/apis/apps/v1/namespaces/x/deployments?limit=1&labelSelector=team%20in%20(a%2Cb)",
    ],
  );
  assert.equal(seen[0]?.authorization, "Bearer first");
  assert.match(seen[0]?.agent ?? "", /^ctrlmesh-proxy\/\d/, "an audit log tells it from the operator");
  assert.match(seen[0]?.accept ?? "", /^application\/json;as=PartialObjectMetadataList;g=meta\.k8s\.io;v=v1/);
});

test("floor reader: a token that the kubelet replaced is used from the next read on", async () => {
  const tokens: (string | undefined)[] = [];
  await using bench = await setUp((request, response) => {
    tokens.push(request.headers.authorization);
    response.end(list("1"));
  });
  await bench.read(podsOfTeamA);
  await writeFile(bench.tokenFile, "second");
  await bench.read(podsOfTeamA);
  assert.deepEqual(tokens, ["Bearer first", "Bearer second"]);
});

test("floor reader: 403 is forbidden, 404 and 405 are absent, a list without version has none", async () => {
  for (const [status, expected] of [
    [403, { kind: "forbidden" }],
    [404, { kind: "absent" }],
    [405, { kind: "absent" }],
  ] as const) {
    await using bench = await setUp(answering(status, "{}"));
    assert.deepEqual(await bench.read(podsOfTeamA), expected);
  }
  await using bench = await setUp(answering(200, '{"metadata":{}}'));
  assert.deepEqual(await bench.read(podsOfTeamA), {
    kind: "known",
    resourceVersion: "",
  });
});

for (const [name, status, body, code] of [
  ["another status", 401, "{}", "API_REQUEST_FAILED"],
  ["a server error", 500, "{}", "API_REQUEST_FAILED"],
  ["no JSON", 200, "<html>", "MALFORMED_RESPONSE"],
  ["no metadata", 200, "{}", "MALFORMED_RESPONSE"],
  ["a version that is no text", 200, list(7), "MALFORMED_RESPONSE"],
  ["an endless body", 200, `"${"x".repeat(5 * 1024 * 1024)}"`, "MALFORMED_RESPONSE"],
] as const) {
  test(`floor reader: ${name} is no floor but ${code}`, async () => {
    await using bench = await setUp(answering(status, body));
    await assertRejects(bench.read(podsOfTeamA), code);
  });
}

test("floor reader: a server of another authority is not believed", async () => {
  await using bench = await setUp(answering(200, list("1")));
  const other = await createAuthority({ commonName: "other", days: 1 });
  await writeFile(bench.caFile, other.certificatePem);
  await assertRejects(bench.read(podsOfTeamA), "UPSTREAM_UNREACHABLE");
});

test("floor reader: a connection cut in the answer is no floor", async () => {
  await using bench = await setUp((request, response) => {
    response.writeHead(200, { "content-length": "1000" });
    response.write('{"metadata":{"resourceVersion":"1"}}', () => request.socket.destroy());
  });
  await assertRejects(bench.read(podsOfTeamA), "UPSTREAM_UNREACHABLE");
});

test("floor reader: an abort ends a read that hangs", async () => {
  const arrived = Promise.withResolvers<void>();
  await using bench = await setUp(() => arrived.resolve());
  const read = bench.read(podsOfTeamA);
  await arrived.promise;
  bench.stop.abort(new Error("too late"));
  await assertRejects(read, "UPSTREAM_UNREACHABLE");
  await assert.rejects(read, /too late/, "and says why");
});

test("floor reader: without token nothing is sent", async () => {
  await using bench = await setUp(() => assert.fail("a request was sent"));
  await rm(bench.tokenFile);
  await assertRejects(bench.read(podsOfTeamA), "FILE_UNREADABLE");
});
