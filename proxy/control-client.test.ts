import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  Grant,
  HashFunction,
  ManagerMessageSchema,
  type Snapshot,
  SnapshotSchema,
  type WebhookRoutes,
} from "#api/gen/ctrlmesh/v1/control_pb";
import { type Clock, systemClock } from "#runtime/clock";
import { FakeClock } from "#runtime/fake-clock";
import type { Log, LogFields } from "#runtime/log";
import { type Authority, createAuthority, issueCertificate } from "#runtime/x509";
import { requestIntervalMs, ServingCertificate } from "./certificate.ts";
import { FakeManager, fakeManagerName } from "./control/fake-manager.ts";
import { connectTimeoutMs, pingIntervalMs, pingTimeoutMs } from "./control/grpc-stream.ts";
import { SnapshotIntake } from "./control/snapshot-intake.ts";
import { ControlClient, reconnectMinMs } from "./control-client.ts";
import { type DurableFiles, durableFiles } from "./durable-files.ts";
import { type CompiledSnapshot, compileSnapshot } from "./snapshot.ts";
import { SnapshotFile } from "./snapshot-file.ts";
import { RawUpstream } from "./transport/raw-peers.ts";

interface Given {
  readonly manager: { readonly address: { host: string; port: number }; readonly authority: Authority };
  readonly clock?: Clock;
  readonly random?: () => number;
  readonly stateDirectory?: string;
  readonly files?: DurableFiles;
  readonly switchTo?: (next: CompiledSnapshot, signal: AbortSignal) => Promise<void>;
  readonly onWebhookRoutes?: (routes: WebhookRoutes) => void;
}

/** A client with everything real but the data plane, which only notes what is in force. */
async function proxyOf(given: Given) {
  const { manager, clock = systemClock, files = durableFiles } = given;
  const folder = given.stateDirectory ?? (await mkdtemp(join(tmpdir(), "ctrlmesh-client-")));
  const caFile = join(folder, "ca.crt");
  const tokenFile = join(folder, "token");
  await writeFile(caFile, manager.authority.certificatePem);
  await writeFile(tokenFile, "token-1\n");
  const lines: { readonly message: string; readonly fields: LogFields | undefined }[] = [];
  const note = (message: string, fields?: LogFields) => void lines.push({ message, fields });
  const log: Log = { debug: note, info: note, warn: note, error: note, child: () => log };
  const file = new SnapshotFile({ stateDirectory: folder, podUid: "uid-1", files, log });
  const certificate = await ServingCertificate.load({ stateDirectory: folder, files, clock, log });
  const switches: CompiledSnapshot[] = [];
  const intake = new SnapshotIntake({
    compile: compileSnapshot,
    dataPlane: {
      switchTo: async (next, signal) => {
        switches.push(next);
        await given.switchTo?.(next, signal);
      },
    },
    floors: { toJSON: () => ({ floors: [] }) },
    file,
    clock,
    log,
  });
  let filtered = 0n;
  const client = new ControlClient({
    managerAddress: manager.address,
    serverName: fakeManagerName,
    credentials: { caFile, tokenFile, podUid: "uid-1" },
    version: "0.1.0",
    intake,
    certificate,
    ...(given.onWebhookRoutes === undefined ? {} : { onWebhookRoutes: given.onWebhookRoutes }),
    report: () => ({ requestsFiltered: filtered }),
    clock,
    random: given.random ?? (() => 0),
    log,
  });
  const ended = new AbortController();
  let running: Promise<void> | undefined;
  return {
    client,
    intake,
    certificate,
    file,
    switches,
    lines,
    folder,
    tokenFile,
    start: () => {
      running = client.run(ended.signal);
    },
    countFiltered: () => {
      filtered += 1n;
    },
    /** Reasons that were logged for having no stream. */
    reasons: () =>
      lines
        .filter(({ message }) => message.startsWith("no control stream"))
        .map(({ fields }) => (fields?.error instanceof Error ? fields.error.message : "")),
    [Symbol.asyncDispose]: async () => {
      ended.abort();
      await running;
      await intake[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

interface SnapshotChange {
  readonly shard?: string;
  readonly epoch?: bigint;
  readonly limits?: { groups: string[]; resources: string[]; selector: string }[];
  readonly fence?: { buckets: number[] };
}

function snapshot(term: bigint, revision: bigint, change: SnapshotChange = {}): Snapshot {
  return create(SnapshotSchema, {
    id: { term, revision },
    shard: "shard-a",
    grant: Grant.GRANTED,
    hash: HashFunction.MURMUR3,
    limits: [
      { groups: [""], resources: ["configmaps"], selector: "ctrlmesh.kusionstack.io/sharding-hash in (1,2)" },
    ],
    ...change,
  });
}

function withoutId(message: Snapshot): Snapshot {
  delete message.id;
  return message;
}

async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 5000;
  while (!condition()) {
    if (performance.now() > deadline) assert.fail(`${what} was expected within 5 s and did not come`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test("control client: says hello first, with the token; a snapshot is in force and stored before its ack", async () => {
  await using manager = await FakeManager.listen();
  await using proxy = await proxyOf({ manager });
  proxy.start();
  const stream = await manager.nextStream();
  assert.equal(stream.authorization, "Bearer token-1");
  const hello = await stream.next("hello");
  assert.deepEqual(
    [hello.proxyVersion, hello.shard, hello.inForce, hello.highestTerm],
    ["0.1.0", "", undefined, 0n],
  );
  stream.send({ case: "snapshot", value: snapshot(1n, 7n) });
  const result = await stream.next("snapshotResult");
  assert.deepEqual([result.id?.term, result.id?.revision, result.accepted, result.code], [1n, 7n, true, ""]);
  assert.equal(proxy.switches.length, 1);
  assert.ok((await proxy.file.load()) !== undefined);
});

test("control client: webhook routes are asked for and handed on where an operator has a webhook", async () => {
  await using manager = await FakeManager.listen();
  const taken: WebhookRoutes[] = [];
  await using proxy = await proxyOf({ manager, onWebhookRoutes: (routes) => void taken.push(routes) });
  proxy.start();
  const stream = await manager.nextStream();
  assert.equal((await stream.next("hello")).webhookRoutes, true);
  stream.send({ case: "webhookRoutes", value: { unshardedNamespaces: ["ops"] } });
  await until("the routes", () => taken.length === 1);
  assert.deepEqual(taken[0]?.unshardedNamespaces, ["ops"]);
});

test("control client: webhook routes that nobody asked for end nothing", async () => {
  await using manager = await FakeManager.listen();
  await using proxy = await proxyOf({ manager });
  proxy.start();
  const stream = await manager.nextStream();
  assert.equal((await stream.next("hello")).webhookRoutes, false);
  stream.send({ case: "webhookRoutes", value: { unshardedNamespaces: ["ops"] } });
  stream.send({ case: "snapshot", value: snapshot(1n, 1n) });
  assert.equal((await stream.next("snapshotResult")).accepted, true);
});

test("control client: a snapshot with an unknown field is nacked with the field, and the one before stays", async () => {
  await using manager = await FakeManager.listen();
  await using proxy = await proxyOf({ manager });
  proxy.start();
  const stream = await manager.nextStream();
  stream.send({ case: "snapshot", value: snapshot(1n, 1n) });
  assert.equal((await stream.next("snapshotResult")).accepted, true);
  const later = snapshot(1n, 2n);
  later.$unknown = [{ no: 99, wireType: 0, data: Uint8Array.of(1) }];
  stream.sendMessage(create(ManagerMessageSchema, { message: { case: "snapshot", value: later } }));
  const result = await stream.next("snapshotResult");
  assert.equal(result.accepted, false);
  assert.equal(result.code, "SNAPSHOT_UNKNOWN_FIELD");
  assert.match(result.reason, /99/);
  assert.equal(proxy.intake.inForce?.id.revision, 1n);
  assert.equal(proxy.switches.length, 1);
});

const refusedSnapshots: readonly [title: string, next: Snapshot, code: RegExp, reason: RegExp][] = [
  [
    "a bad selector",
    snapshot(5n, 6n, { limits: [{ groups: [""], resources: ["pods"], selector: "a in (" }] }),
    /^(SNAPSHOT_INVALID|INVALID_LABEL_SELECTOR)$/,
    /selector/,
  ],
  [
    "an older term, as of a leader that was stopped and continued",
    snapshot(4n, 99n),
    /^SNAPSHOT_OLDER$/,
    /term 4/,
  ],
  ["an older revision of the same term", snapshot(5n, 4n), /^SNAPSHOT_OLDER$/, /revision 4/],
  ["another shard", snapshot(5n, 6n, { shard: "shard-b" }), /^SNAPSHOT_OTHER_SHARD$/, /shard-b.*shard-a/],
  [
    "the same revision with another content",
    snapshot(5n, 5n, { epoch: 9n }),
    /^SNAPSHOT_INVALID$/,
    /sent before with another content/,
  ],
  ["no id", withoutId(snapshot(5n, 6n)), /^SNAPSHOT_INVALID$/, /id/],
];

for (const [title, next, code, reason] of refusedSnapshots) {
  test(`control client: a snapshot with ${title} is nacked with the reason and changes nothing`, async () => {
    await using manager = await FakeManager.listen();
    await using proxy = await proxyOf({ manager });
    proxy.start();
    const stream = await manager.nextStream();
    stream.send({ case: "snapshot", value: snapshot(5n, 5n) });
    await stream.next("snapshotResult");
    const before = await proxy.file.load();
    stream.send({ case: "snapshot", value: next });
    const result = await stream.next("snapshotResult");
    assert.equal(result.accepted, false);
    assert.match(result.code, code);
    assert.match(result.reason, reason);
    assert.equal(proxy.intake.inForce?.id.revision, 5n);
    assert.equal(proxy.switches.length, 1);
    assert.deepEqual(await proxy.file.load(), before);
  });
}

test("control client: the one in force, sent again, is acked again after its writes are over", async () => {
  await using manager = await FakeManager.listen();
  await using proxy = await proxyOf({ manager });
  proxy.start();
  const stream = await manager.nextStream();
  stream.send({ case: "snapshot", value: snapshot(1n, 1n) });
  await stream.next("snapshotResult");
  stream.send({ case: "snapshot", value: snapshot(1n, 1n) });
  assert.equal((await stream.next("snapshotResult")).accepted, true);
  assert.equal(proxy.switches[0], proxy.switches[1], "the data plane sees no change");
});

test("control client: a newer snapshot does not wait for the ack of an earlier one, which gets no answer", async () => {
  await using manager = await FakeManager.listen();
  const stuck = (next: CompiledSnapshot, signal: AbortSignal) =>
    next.id.revision === 1n
      ? new Promise<void>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)))
      : Promise.resolve();
  await using proxy = await proxyOf({ manager, switchTo: stuck });
  proxy.start();
  const stream = await manager.nextStream();
  stream.send({ case: "snapshot", value: snapshot(1n, 1n) });
  await until("the first switch", () => proxy.switches.length === 1);
  for (const revision of [2n, 3n, 4n]) stream.send({ case: "snapshot", value: snapshot(1n, revision) });
  let answered = 0n;
  while (answered !== 4n) {
    const { id, accepted } = await stream.next("snapshotResult");
    assert.equal(accepted, true);
    assert.ok((id?.revision ?? 0n) > answered, "answers come in order");
    answered = id?.revision ?? 0n;
    assert.notEqual(answered, 1n, "the skipped one is not answered");
  }
  assert.equal(proxy.intake.inForce?.id.revision, 4n);
});

test("control client: a redirect is followed at once, under the same name", async () => {
  await using leader = await FakeManager.listen();
  await using follower = await FakeManager.listen({ authority: leader.authority });
  await using proxy = await proxyOf({ manager: follower });
  proxy.start();
  const asked = await follower.nextStream();
  await asked.next("hello");
  asked.send({ case: "redirect", value: { leaderAddress: `127.0.0.1:${leader.port}` } });
  const stream = await leader.nextStream();
  await stream.next("hello");
  stream.send({ case: "snapshot", value: snapshot(1n, 1n) });
  await stream.next("snapshotResult");
  assert.deepEqual(proxy.client.connectedTo, leader.address);
  assert.deepEqual(proxy.reasons(), []);
});

test("control client: replicas that redirect in a circle are asked again only after a back-off", async () => {
  const clock = new FakeClock();
  await using manager = await FakeManager.listen();
  await using proxy = await proxyOf({ manager, clock });
  proxy.start();
  for (let hop = 0; hop < 4; hop++) {
    const stream = await manager.nextStream();
    stream.send({ case: "redirect", value: { leaderAddress: `127.0.0.1:${manager.port}` } });
  }
  await until("the reason", () => proxy.reasons().length === 1);
  assert.match(proxy.reasons()[0] ?? "", /too many redirects/);
  assert.equal(proxy.client.counters.dials, 4);
  await clock.whenWaiting(1);
  assert.equal(clock.nextDueInMs, reconnectMinMs);
});

test("D49: without a known leader it backs off, longer each time, up to the longest delay", async () => {
  const clock = new FakeClock();
  await using manager = await FakeManager.listen();
  await using proxy = await proxyOf({ manager, clock, random: () => 1 });
  proxy.start();
  const delays: (number | undefined)[] = [];
  for (let attempt = 1; attempt <= 7; attempt++) {
    const stream = await manager.nextStream();
    stream.send({ case: "redirect", value: { leaderAddress: "" } });
    await until(`the end of attempt ${attempt}`, () => stream.signal.aborted);
    await until("the back-off", () => clock.waiting === 1);
    delays.push(clock.nextDueInMs);
    await clock.advance(clock.nextDueInMs ?? 0);
  }
  assert.deepEqual(delays, [400, 800, 1600, 3200, 6400, 10_000, 10_000]);
  assert.deepEqual(proxy.reasons(), ["no leader is known"], "the same reason is logged once");
});

test("control client: a refusal is logged once with the manager's reason, and the token is read again", async () => {
  const clock = new FakeClock();
  await using manager = await FakeManager.listen();
  await using proxy = await proxyOf({ manager, clock });
  proxy.start();
  for (let attempt = 0; attempt < 3; attempt++) {
    const stream = await manager.nextStream();
    assert.equal(stream.authorization, `Bearer token-${attempt + 1}`);
    await writeFile(proxy.tokenFile, `token-${attempt + 2}`);
    stream.fail(new ConnectError("the token is not bound to a pod", Code.Unauthenticated));
    await until("the back-off", () => clock.waiting === 1);
    assert.equal(proxy.client.failure?.code, "UNAUTHENTICATED");
    await clock.advance(10_000);
  }
  assert.deepEqual(proxy.reasons(), ["UNAUTHENTICATED: the token is not bound to a pod"]);
});

test("control client: a stream that the manager ends, and a manager that is gone, only cost the stream", async () => {
  const clock = new FakeClock();
  let manager = await FakeManager.listen();
  const { authority, port } = manager;
  await using proxy = await proxyOf({ manager, clock });
  proxy.start();
  const first = await manager.nextStream();
  first.send({ case: "snapshot", value: snapshot(3n, 1n) });
  await first.next("snapshotResult");
  first.end();
  await until("the back-off", () => proxy.reasons().length === 1);
  await manager[Symbol.asyncDispose]();
  await clock.advance(10_000);
  await until("the refusal", () => proxy.reasons().length === 2);
  assert.match(proxy.reasons()[1] ?? "", /ECONNREFUSED/);
  assert.equal(proxy.intake.inForce?.id.term, 3n);
  manager = await FakeManager.listen({ authority, port });
  await using _ = manager;
  await clock.advance(10_000);
  const hello = await (await manager.nextStream()).next("hello");
  assert.deepEqual([hello.inForce?.term, hello.shard, hello.highestTerm], [3n, "shard-a", 3n]);
});

test("control client: a refused snapshot of a newer leader still raises the term that older leaders must pass", async () => {
  await using manager = await FakeManager.listen();
  await using proxy = await proxyOf({ manager });
  proxy.start();
  const stream = await manager.nextStream();
  stream.send({ case: "snapshot", value: snapshot(1n, 1n) });
  await stream.next("snapshotResult");
  stream.send({ case: "snapshot", value: snapshot(2n, 1n, { limits: [] }) });
  assert.equal((await stream.next("snapshotResult")).accepted, false);
  stream.send({ case: "snapshot", value: snapshot(1n, 2n) });
  assert.equal((await stream.next("snapshotResult")).code, "SNAPSHOT_OLDER");
  assert.equal(proxy.intake.highestTerm, 2n);
});

test("D1: a manager with a certificate of another CA, or for another name, gets no token", async () => {
  const clock = new FakeClock();
  await using stranger = await FakeManager.listen();
  const authority = await createAuthority({ commonName: "ours", days: 5 });
  await using proxy = await proxyOf({ manager: { address: stranger.address, authority }, clock });
  proxy.start();
  await until("the refusal", () => proxy.reasons().length === 1);
  assert.match(proxy.reasons()[0] ?? "", /certificate|signature|issuer/);
  assert.equal(stranger.streamsWaiting, 0);

  await using misnamed = await FakeManager.listen({ dnsName: "ctrlmesh-manager.elsewhere.svc" });
  await using second = await proxyOf({ manager: misnamed, clock: new FakeClock() });
  second.start();
  await until("the refusal", () => second.reasons().length === 1);
  assert.match(second.reasons()[0] ?? "", /does not match certificate's altnames/);
  assert.equal(misnamed.streamsWaiting, 0);
});

test("control client: a peer that accepts and never speaks is given up after the connect timeout", async () => {
  const clock = new FakeClock();
  const sockets = new Set<Socket>();
  const silent = createServer((socket) => sockets.add(socket));
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  const address = silent.address();
  const port = address !== null && typeof address === "object" ? address.port : 0;
  const authority = await createAuthority({ commonName: "ours", days: 5 });
  {
    await using proxy = await proxyOf({
      manager: { address: { host: "127.0.0.1", port }, authority },
      clock,
    });
    proxy.start();
    await until("the connection", () => sockets.size === 1);
    await clock.advance(connectTimeoutMs);
    await until("the reason", () => proxy.reasons().length === 1);
    assert.match(proxy.reasons()[0] ?? "", /no connection within 10000 ms/);
  }
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => silent.close(resolve));
});

test("control client: a manager that breaks HTTP/2 costs the stream, and the next one works", async () => {
  const clock = new FakeClock();
  const authority = await createAuthority({ commonName: "mesh", days: 10 });
  const leaf = {
    commonName: "manager",
    dnsNames: [fakeManagerName],
    ipAddresses: [],
    usage: "server",
  } as const;
  const { certificatePem, privateKeyPem = "" } = await issueCertificate(authority, { ...leaf, days: 5 });
  const identity = { caPem: authority.certificatePem, certificatePem, privateKeyPem };
  const broken = await RawUpstream.start(identity, ["h2"]);
  const { port } = broken;
  await using proxy = await proxyOf({ manager: { address: { host: "127.0.0.1", port }, authority }, clock });
  proxy.start();
  const peer = await broken.accept();
  await peer.until(() => peer.receivedBytes > 0, "the request");
  peer.send("HTTP/1.1 400 Bad Request\r\n\r\n");
  await until("the reason", () => proxy.reasons().length === 1);
  assert.equal(proxy.client.failure?.code, "CONTROL_STREAM_FAILED");
  await broken[Symbol.asyncDispose]();
  await using manager = await FakeManager.listen({ authority, port });
  await until("the back-off", () => clock.waiting === 1);
  await clock.advance(10_000);
  await (await manager.nextStream()).next("hello");
});

test("control client: a manager that stops answering, as a stopped process does, is found dead by PING", async () => {
  const clock = new FakeClock();
  await using manager = await FakeManager.listen();
  await using relay = await stoppableRelay(manager.port);
  const through = { address: { host: "127.0.0.1", port: relay.port }, authority: manager.authority };
  await using proxy = await proxyOf({ manager: through, clock });
  proxy.start();
  const stream = await manager.nextStream();
  stream.send({ case: "snapshot", value: snapshot(1n, 1n) });
  await stream.next("snapshotResult");
  relay.stop();
  await clock.advance(pingIntervalMs);
  assert.notEqual(proxy.client.connectedTo, undefined);
  await clock.advance(pingTimeoutMs);
  await until("the reason", () => proxy.reasons().length === 1);
  assert.match(proxy.reasons()[0] ?? "", /no answer to a PING within 5000 ms/);
});

test("control client: a manager that answers PINGs keeps its stream for hours", async () => {
  const clock = new FakeClock();
  await using manager = await FakeManager.listen();
  await using proxy = await proxyOf({ manager, clock });
  proxy.start();
  const stream = await manager.nextStream();
  stream.send({ case: "snapshot", value: snapshot(1n, 1n) });
  await stream.next("snapshotResult");
  for (let ping = 0; ping < 20; ping++) {
    await clock.advance(pingIntervalMs);
    // Answered after the PING was, on the same connection: what comes next finds the PING answered.
    stream.send({ case: "snapshot", value: snapshot(1n, 1n) });
    await stream.next("snapshotResult");
    await clock.advance(pingTimeoutMs);
  }
  assert.equal(proxy.client.counters.dials, 1);
});

/** Passes bytes on until it is stopped; then everything stays open and silent. */
async function stoppableRelay(targetPort: number) {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const target = connect(targetPort, "127.0.0.1");
    for (const socket of [client, target]) {
      sockets.add(socket);
      socket.on("error", () => socket.destroy());
    }
    client.pipe(target);
    target.pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return {
    port: address !== null && typeof address === "object" ? address.port : 0,
    stop: () => {
      for (const socket of sockets) socket.pause();
      for (const socket of sockets) socket.unpipe();
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

test("control client: reports go out when a value changed, at most once a second", async () => {
  const clock = new FakeClock();
  await using manager = await FakeManager.listen();
  await using proxy = await proxyOf({ manager, clock });
  proxy.start();
  const stream = await manager.nextStream();
  await stream.next("hello");
  await clock.advance(1000);
  assert.equal((await stream.next("report")).requestsFiltered, 0n);
  for (let request = 0; request < 50; request++) proxy.countFiltered();
  await clock.advance(1000);
  assert.equal((await stream.next("report")).requestsFiltered, 50n);
  await clock.advance(1000);
  await clock.advance(1000);
  proxy.countFiltered();
  await clock.advance(1000);
  assert.equal((await stream.next("report")).requestsFiltered, 51n, "unchanged values were not sent");
  assert.equal(stream.count("report"), 0);
});

test("control client: asks for a certificate when it has none, and again when a third of its life is left", async () => {
  const clock = new FakeClock(Date.now());
  await using manager = await FakeManager.listen();
  await using proxy = await proxyOf({ manager, clock });
  proxy.start();
  const issue = async (publicKeySpki: Uint8Array) => {
    const leaf = { commonName: "p", dnsNames: ["kubernetes"], ipAddresses: [], usage: "server" } as const;
    const { certificatePem } = await issueCertificate(manager.authority, {
      ...leaf,
      days: 7,
      publicKeySpki,
      now: new Date(clock.now()),
    });
    return certificatePem;
  };
  let stream = await manager.nextStream();
  const { publicKeySpki } = await stream.next("certificateRequest");
  await clock.advance(requestIntervalMs - 1);
  assert.equal(stream.count("certificateRequest"), 0);
  await clock.advance(1);
  await stream.next("certificateRequest");
  const first = await issue(publicKeySpki);
  stream.send({ case: "certificate", value: { certificateChainPem: first } });
  await until("the certificate", () => proxy.certificate.identity?.certificateChainPem === first);
  await clock.advance(requestIntervalMs);
  assert.equal(stream.count("certificateRequest"), 0);
  // Days pass while the manager is away: no stream has to live through them.
  await manager[Symbol.asyncDispose]();
  clock.jumpWall(5 * 86_400_000);
  await using again = await FakeManager.listen({ authority: manager.authority, port: manager.port });
  await clock.advance(10_000);
  stream = await again.nextStream();
  const renewal = await stream.next("certificateRequest");
  assert.deepEqual(renewal.publicKeySpki, publicKeySpki);
  const second = await issue(renewal.publicKeySpki);
  stream.send({ case: "certificate", value: { certificateChainPem: second } });
  await until("the renewed one", () => proxy.certificate.identity?.certificateChainPem === second);
});

test("control client: an acked revoke gives nothing back after a restart, also with the disk full", async () => {
  await using manager = await FakeManager.listen();
  let full = false;
  const files: DurableFiles = {
    ...durableFiles,
    replace: (path, content) =>
      full ? Promise.reject(new Error("no space left on device")) : durableFiles.replace(path, content),
  };
  await using proxy = await proxyOf({ manager, files });
  proxy.start();
  const stream = await manager.nextStream();
  stream.send({ case: "snapshot", value: snapshot(1n, 1n) });
  await stream.next("snapshotResult");
  full = true;
  stream.send({ case: "snapshot", value: snapshot(1n, 2n, { fence: { buckets: [1] } }) });
  assert.equal((await stream.next("snapshotResult")).accepted, true);
  assert.equal(await proxy.file.load(), undefined, "a restart begins with nothing");
});

test("control client: with a disk that can neither write nor unlink the snapshot is nacked and nothing changes", async () => {
  await using manager = await FakeManager.listen();
  let stuck = false;
  const failing = () => Promise.reject(new Error("input/output error"));
  const files: DurableFiles = {
    ...durableFiles,
    replace: (path, content) => (stuck ? failing() : durableFiles.replace(path, content)),
    remove: (path) => (stuck ? failing() : durableFiles.remove(path)),
  };
  await using proxy = await proxyOf({ manager, files });
  proxy.start();
  const stream = await manager.nextStream();
  stream.send({ case: "snapshot", value: snapshot(1n, 1n) });
  await stream.next("snapshotResult");
  stuck = true;
  const revoke = snapshot(1n, 2n, { fence: { buckets: [1] } });
  stream.send({ case: "snapshot", value: revoke });
  assert.equal((await stream.next("snapshotResult")).code, "SNAPSHOT_NOT_STORED");
  assert.equal(proxy.intake.inForce?.id.revision, 1n);
  assert.equal(proxy.switches.length, 1);
  stuck = false;
  stream.send({ case: "snapshot", value: revoke });
  assert.equal((await stream.next("snapshotResult")).accepted, true, "sent again, it is taken");
});

const badAuthorities: readonly [title: string, content: string, reason: RegExp][] = [
  ["an empty CA file", "", /certificate|PEM/],
  ["a CA file that is no PEM", "hello", /certificate|PEM/],
  ["a CA file with a cut certificate", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", /./],
];

for (const [title, content, reason] of badAuthorities) {
  test(`control client: with ${title} no manager is trusted, and the file is read again`, async () => {
    const clock = new FakeClock();
    await using manager = await FakeManager.listen();
    await using proxy = await proxyOf({ manager, clock });
    await writeFile(join(proxy.folder, "ca.crt"), content);
    proxy.start();
    await until("the reason", () => proxy.reasons().length === 1);
    assert.match(proxy.reasons()[0] ?? "", reason);
    assert.equal(manager.streamsWaiting, 0);
    await writeFile(join(proxy.folder, "ca.crt"), manager.authority.certificatePem);
    await until("the back-off", () => clock.waiting === 1);
    await clock.advance(10_000);
    await (await manager.nextStream()).next("hello");
  });
}

test("control client: the manager's own code in the trailer is finer than gRPC's and wins", async () => {
  await using manager = await FakeManager.listen();
  await using proxy = await proxyOf({ manager, clock: new FakeClock() });
  proxy.start();
  const refusal = new ConnectError("pod op-0 has no proxy", Code.PermissionDenied, {
    "ctrlmesh-code": "POD_NOT_INJECTED",
  });
  (await manager.nextStream()).fail(refusal);
  await until("the reason", () => proxy.reasons().length === 1);
  assert.equal(proxy.client.failure?.code, "POD_NOT_INJECTED");
});

const badFiles: readonly [title: string, token: string | undefined, reason: RegExp][] = [
  ["no token file", undefined, /token: ENOENT/],
  ["an empty token file", "\n", /token: the token is empty/],
  ["a token file with two lines", "abc\ndef\n", /the token has characters that no token has/],
  ["a binary token file", "\u0000\u0001", /the token has characters that no token has/],
  ["the token of another pod", tokenOfPod("uid-2"), /bound to the pod with UID uid-2, this is uid-1/],
];

/** As much of a bound service account token as names its pod. */
function tokenOfPod(uid: string): string {
  const claims = { "kubernetes.io": { namespace: "team", pod: { name: "op", uid } } };
  return `head.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.signature`;
}

for (const [title, token, reason] of badFiles) {
  test(`control client: ${title} is told once, tried again, and never sent`, async () => {
    const clock = new FakeClock();
    await using manager = await FakeManager.listen();
    await using proxy = await proxyOf({ manager, clock });
    if (token === undefined) await rm(proxy.tokenFile);
    else await writeFile(proxy.tokenFile, token);
    proxy.start();
    await until("the reason", () => proxy.reasons().length === 1);
    assert.match(proxy.reasons()[0] ?? "", reason);
    const good = tokenOfPod("uid-1");
    await writeFile(proxy.tokenFile, good);
    await until("the back-off", () => clock.waiting === 1);
    await clock.advance(10_000);
    assert.equal((await manager.nextStream()).authorization, `Bearer ${good}`);
  });
}
