import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, request } from "node:https";
import { createServer as createTcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { create } from "@bufbuild/protobuf";
import { Grant, HashFunction, type Snapshot, SnapshotSchema } from "#api/gen/ctrlmesh/v1/control_pb";
import { type Authority, createAuthority, issueCertificate } from "#runtime/x509";
import { FakeManager, type FakeStream } from "./control/fake-manager.ts";

const cli = fileURLToPath(new URL("../cli/main.ts", import.meta.url));
const configMaps = "/api/v1/configmaps";

/** An API server that knows one list and notes what was asked of it. */
async function upstreamOf(authority: Authority) {
  const { certificatePem, privateKeyPem } = await issueCertificate(authority, {
    commonName: "kube-apiserver",
    dnsNames: [],
    ipAddresses: ["127.0.0.1"],
    days: 5,
    usage: "server",
  });
  const targets: string[] = [];
  const server = createServer({ cert: certificatePem, key: privateKeyPem }, (asked, answer) => {
    targets.push(asked.url ?? "");
    answer.setHeader("content-type", "application/json");
    answer.end(
      JSON.stringify({ kind: "List", apiVersion: "v1", metadata: { resourceVersion: "7" }, items: [] }),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return {
    targets,
    port: address !== null && typeof address === "object" ? address.port : 0,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

let authority: Authority;
let upstream: Awaited<ReturnType<typeof upstreamOf>>;
let folder = "";
before(async () => {
  authority = await createAuthority({ commonName: "mesh", days: 10 });
  upstream = await upstreamOf(authority);
  folder = await mkdtemp(join(tmpdir(), "ctrlmesh-proxy-"));
  await writeFile(join(folder, "ca.crt"), authority.certificatePem);
  await writeFile(join(folder, "token"), "token");
});
after(async () => {
  await upstream.close();
  await rm(folder, { recursive: true });
});

/** A port that was free a moment ago: the process must be found under it from outside. */
async function freePort(): Promise<number> {
  const server = createTcpServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return address !== null && typeof address === "object" ? address.port : 0;
}

interface Running extends AsyncDisposable {
  readonly child: ChildProcess;
  readonly apiserverPort: number;
  readonly adminPort: number;
  readonly log: () => string;
  readonly ended: Promise<number | null>;
}

async function startProxy(name: string, managerPort: number): Promise<Running> {
  const [apiserverPort, adminPort] = [await freePort(), await freePort()];
  const child = spawn(process.execPath, [cli, "proxy", "--drain-timeout=5s"], {
    stdio: ["ignore", "ignore", "pipe"],
    env: {
      POD_NAME: "op-0",
      POD_NAMESPACE: "team",
      POD_UID: "uid-1",
      POD_IP: "127.0.0.1",
      CTRLMESH_APISERVER_PORT: String(apiserverPort),
      CTRLMESH_ADMIN_PORT: String(adminPort),
      CTRLMESH_MANAGER_ADDRESS: `127.0.0.1:${managerPort}`,
      CTRLMESH_UPSTREAM: `127.0.0.1:${upstream.port}`,
      CTRLMESH_CA_FILE: join(folder, "ca.crt"),
      CTRLMESH_CONTROL_TOKEN_FILE: join(folder, "token"),
      CTRLMESH_UPSTREAM_CA_FILE: join(folder, "ca.crt"),
      CTRLMESH_SERVICE_ACCOUNT_TOKEN_FILE: join(folder, "token"),
      CTRLMESH_STATE_DIR: join(folder, name),
    },
  });
  let log = "";
  child.stderr?.on("data", (chunk) => {
    log += chunk;
  });
  const ended = once(child, "exit").then(() => child.exitCode);
  return {
    child,
    apiserverPort,
    adminPort,
    log: () => log,
    ended,
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
      await ended;
    },
  };
}

async function readiness(proxy: Running): Promise<{ status: number; text: string }> {
  try {
    const response = await fetch(`http://127.0.0.1:${proxy.adminPort}/readyz`);
    return { status: response.status, text: await response.text() };
  } catch {
    return { status: 0, text: "no answer" };
  }
}

async function untilReadiness(
  proxy: Running,
  what: string,
  matches: (text: string, status: number) => boolean,
) {
  const deadline = performance.now() + 15_000;
  for (;;) {
    const { status, text } = await readiness(proxy);
    if (matches(text, status)) return;
    if (performance.now() > deadline) assert.fail(`${what} did not come; last: ${text}\n${proxy.log()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function get(proxy: Running, path: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const asked = request(
      {
        host: "127.0.0.1",
        port: proxy.apiserverPort,
        path,
        ca: authority.certificatePem,
        agent: false,
        headers: { connection: "keep-alive" },
      },
      async (answer) => resolve({ status: answer.statusCode ?? 0, body: (await answer.toArray()).join("") }),
    );
    asked.on("error", reject);
    asked.end();
  });
}

async function certify(stream: FakeStream): Promise<void> {
  const { publicKeySpki } = await stream.next("certificateRequest");
  const { certificatePem } = await issueCertificate(authority, {
    commonName: "proxy",
    dnsNames: ["kubernetes.default.svc"],
    ipAddresses: ["127.0.0.1"],
    days: 7,
    usage: "server",
    publicKeySpki,
  });
  stream.send({ case: "certificate", value: { certificateChainPem: certificatePem } });
}

function snapshot(revision: bigint, grant: Grant = Grant.GRANTED): Snapshot {
  return create(SnapshotSchema, {
    id: { term: 1n, revision },
    shard: "shard-a",
    grant,
    grantReason: grant === Grant.GRANTED ? "" : "the buckets are still held by op-1",
    hash: HashFunction.MURMUR3,
    limits: [{ groups: [""], resources: ["configmaps"], selector: "s=a" }],
  });
}

test("D49: from nothing to serving, and after a kill with the manager away it serves the same again", async () => {
  await using manager = await FakeManager.listen({ authority });
  {
    await using proxy = await startProxy("life", manager.port);
    const stream = await manager.nextStream();
    await untilReadiness(proxy, "the reason", (text) => text.includes("no serving certificate yet"));
    await certify(stream);
    await untilReadiness(proxy, "the listener", (text) => text.includes("[+]listener ok"));
    const early = await get(proxy, configMaps);
    assert.equal(early.status, 429, "before the first snapshot nothing passes");
    assert.equal(JSON.parse(early.body).reason, "TooManyRequests");

    stream.send({ case: "snapshot", value: snapshot(1n, Grant.NOT_GRANTED) });
    await stream.next("snapshotResult");
    await untilReadiness(proxy, "the grant's reason", (text) =>
      text.includes("not granted: the buckets are still held"),
    );
    assert.equal((await get(proxy, configMaps)).status, 429);
    assert.equal(upstream.targets.join(" "), "", "nothing was forwarded");

    stream.send({ case: "snapshot", value: snapshot(2n) });
    await stream.next("snapshotResult");
    await untilReadiness(proxy, "readiness", (_, status) => status === 200);
    assert.equal((await get(proxy, configMaps)).status, 200);
    assert.ok(upstream.targets.includes(`${configMaps}?labelSelector=s%3Da`), upstream.targets.join(" "));
    proxy.child.kill("SIGKILL");
    await proxy.ended;
  }
  await manager[Symbol.asyncDispose]();
  upstream.targets.length = 0;
  await using again = await startProxy("life", manager.port);
  await untilReadiness(again, "readiness from disk alone", (_, status) => status === 200);
  assert.equal((await get(again, configMaps)).status, 200);
  assert.ok(upstream.targets.includes(`${configMaps}?labelSelector=s%3Da`));
  assert.match(again.log(), /ECONNREFUSED/);
  const metrics = await (await fetch(`http://127.0.0.1:${again.adminPort}/metrics`)).text();
  assert.match(metrics, /^ctrlmesh_proxy_snapshot_revision 2$/m);
  assert.match(metrics, /^ctrlmesh_proxy_control_stream_open 0$/m);
});

test("D32: on SIGTERM the proxy ends at once when nothing runs, with exit code 0", async () => {
  await using manager = await FakeManager.listen({ authority });
  await using proxy = await startProxy("end", manager.port);
  const stream = await manager.nextStream();
  await certify(stream);
  stream.send({ case: "snapshot", value: snapshot(1n) });
  await untilReadiness(proxy, "readiness", (_, status) => status === 200);
  const startMs = performance.now();
  proxy.child.kill("SIGTERM");
  assert.equal(await proxy.ended, 0);
  assert.ok(performance.now() - startMs < 4000, "well before the drain timeout");
});

test("proxy: a damaged snapshot on disk is told and costs only the wait for the manager", async () => {
  await using manager = await FakeManager.listen({ authority });
  const name = "damaged";
  {
    await using _proxy = await startProxy(name, manager.port);
    const stream = await manager.nextStream();
    await certify(stream);
    stream.send({ case: "snapshot", value: snapshot(1n) });
    await stream.next("snapshotResult");
  }
  await writeFile(join(folder, name, "snapshot"), "ctrlmesh-snapshot 1 nonsense\n");
  await using proxy = await startProxy(name, manager.port);
  const stream = await manager.nextStream();
  assert.equal((await stream.next("hello")).inForce, undefined);
  await untilReadiness(proxy, "the reason", (text) => text.includes("no snapshot yet"));
  assert.match(proxy.log(), /SNAPSHOT_FILE_CORRUPT/);
  assert.equal((await get(proxy, configMaps)).status, 429);
  stream.send({ case: "snapshot", value: snapshot(1n) });
  await untilReadiness(proxy, "readiness", (_, status) => status === 200);
});

test("proxy: a flag that does not exist ends it with code 2 and a hint", async () => {
  const child = spawn(process.execPath, [cli, "proxy", "--listen-hots=x"], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [stderr] = await Promise.all([child.stderr.toArray(), once(child, "exit")]);
  assert.equal(child.exitCode, 2);
  assert.match(stderr.join(""), /INVALID_FLAG: --listen-hots: no such flag; did you mean --listen-host\?/);
});
