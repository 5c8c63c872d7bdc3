import assert from "node:assert/strict";
import { once } from "node:events";
import { createSecureServer, type Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import { test } from "node:test";
import { createAuthority, issueCertificate } from "#runtime/x509";
import { Transport } from "./transport.ts";

/** An API server that offers HTTP/2, as a real one does, and takes HTTP/1.1. */
async function apiServer(answer: (request: Http2ServerRequest, response: Http2ServerResponse) => void) {
  const authority = await createAuthority({ commonName: "test", days: 1 });
  const { certificatePem, privateKeyPem = "" } = await issueCertificate(authority, {
    commonName: "server",
    dnsNames: [],
    ipAddresses: ["127.0.0.1"],
    days: 1,
    usage: "server",
  });
  const server = createSecureServer({ allowHTTP1: true, cert: certificatePem, key: privateKeyPem });
  server.on("request", answer);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  const transport = new Transport({
    server: new URL(`https://127.0.0.1:${address.port}`),
    namespace: undefined,
    proxyUrl: undefined,
    current: async () => ({
      tls: {
        ca: authority.certificatePem,
        cert: undefined,
        key: undefined,
        servername: undefined,
        rejectUnauthorized: undefined,
      },
      headers: {},
    }),
  });
  return {
    transport,
    [Symbol.asyncDispose]: async () => {
      await transport[Symbol.asyncDispose]();
      server.close();
      await once(server, "close");
    },
  };
}

test("transport: aborted writes cost neither the process nor the next request, where the server offers HTTP/2 too", async () => {
  const versions = new Set<string>();
  await using bench = await apiServer((request, response) => {
    versions.add(request.httpVersion);
    request.resume();
    // What is aborted never gets an answer.
    if (request.method === "GET") response.end("{}");
  });
  const send = (method: "GET" | "PATCH", signal: AbortSignal) =>
    bench.transport.send({
      method,
      path: "/api",
      headers: {},
      body: method === "GET" ? undefined : "x".repeat(100_000),
      signal,
    });
  const aborts = Array.from({ length: 50 }, () => new AbortController());
  const writes = aborts.map(({ signal }) => send("PATCH", signal));
  for (const abort of aborts) abort.abort();
  const outcomes = await Promise.allSettled(writes);
  assert.deepEqual(new Set(outcomes.map(({ status }) => status)), new Set(["rejected"]));
  const answer = await send("GET", AbortSignal.timeout(10_000));
  assert.equal(await answer.body.text(), "{}");
  assert.deepEqual([...versions], ["1.1"]);
});
