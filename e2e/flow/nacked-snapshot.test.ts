import "reflect-metadata";
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createSecureServer, type Http2SecureServer, type ServerHttp2Session } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import {
  type CertificateRequest,
  ControlService,
  FenceSchema,
  Grant,
  HashFunction,
  LimitSchema,
  type ManagerMessage,
  ManagerMessageSchema,
  type ProxyMessage,
  type Snapshot,
  type SnapshotId,
  SnapshotIdSchema,
  SnapshotSchema,
} from "#api/gen/ctrlmesh/v1/control_pb";
import { type ApiServer, startApiServer } from "#devcluster/main";
import type { RequestRecord } from "#devcluster/request-log";
import { silentLog } from "#runtime/log";
import { type Authority, createAuthority, issueCertificate } from "#runtime/x509";
import { eventually } from "./eventually.ts";
import { ProxyProcess } from "./proxy-process.ts";
import { RawClient } from "./raw-client.ts";

/** A real proxy process against a control server that says wrong things: what is in force stays in force. */

/** As much of a manager as one proxy needs: certifies its key and sends what the test says. */
class ScriptedManager implements AsyncDisposable {
  readonly port: number;
  readonly results: { readonly code: string; readonly reason: string; readonly revision: bigint }[] = [];
  readonly #authority: Authority;
  readonly #server: Http2SecureServer;
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #outgoing: ManagerMessage[] = [];
  #wake = Promise.withResolvers<void>();

  private constructor(authority: Authority, server: Http2SecureServer) {
    this.#authority = authority;
    this.#server = server;
    const address = server.address();
    this.port = typeof address === "object" && address !== null ? address.port : 0;
    server.on("session", (session) => this.#sessions.add(session));
  }

  static async listen(authority: Authority): Promise<ScriptedManager> {
    const { certificatePem, privateKeyPem = "" } = await issueCertificate(authority, {
      commonName: "ctrlmesh-manager",
      dnsNames: ["ctrlmesh-manager.ctrlmesh.svc"],
      ipAddresses: [],
      days: 1,
      usage: "server",
    });
    const adapter = connectNodeAdapter({
      routes: (router) => {
        router.service(ControlService, {
          connect: (requests, { signal }) => {
            void manager.#receive(requests).catch(() => undefined);
            return manager.#send(signal);
          },
        });
      },
    });
    const server = createSecureServer({ cert: certificatePem, key: privateKeyPem }, adapter);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const manager: ScriptedManager = new ScriptedManager(authority, server);
    return manager;
  }

  /** Sends a snapshot and resolves with the proxy's answer to it. */
  async offer(snapshot: Snapshot): Promise<{ readonly code: string; readonly reason: string }> {
    return await this.offerMessage(
      create(ManagerMessageSchema, {
        message: { case: "snapshot", value: snapshot },
      }),
    );
  }

  /** The same for a message that holds what no schema of today has. */
  async offerMessage(message: ManagerMessage): Promise<{ readonly code: string; readonly reason: string }> {
    const before = this.results.length;
    this.#push(message);
    await eventually("the proxy answered the snapshot", () => this.results.length > before);
    const result = this.results.at(-1);
    assert.ok(result);
    return { code: result.code, reason: result.reason };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const session of this.#sessions) session.destroy();
    await closed;
  }

  #push(message: ManagerMessage): void {
    this.#outgoing.push(message);
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }

  async *#send(signal: AbortSignal): AsyncGenerator<ManagerMessage> {
    const aborted = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    while (!signal.aborted) {
      const next = this.#outgoing.shift();
      if (next !== undefined) yield next;
      else await Promise.race([this.#wake.promise, aborted]);
    }
  }

  async #receive(requests: AsyncIterable<ProxyMessage>): Promise<void> {
    for await (const { message } of requests) {
      if (message.case === "certificateRequest") await this.#certify(message.value);
      if (message.case === "snapshotResult") {
        const { code, reason, id } = message.value;
        this.results.push({ code, reason, revision: id?.revision ?? 0n });
      }
    }
  }

  async #certify({ publicKeySpki }: CertificateRequest): Promise<void> {
    const { certificatePem } = await issueCertificate(this.#authority, {
      commonName: "ctrlmesh-proxy",
      dnsNames: ["kubernetes.default.svc"],
      ipAddresses: ["127.0.0.1"],
      days: 1,
      usage: "server",
      publicKeySpki,
    });
    this.#push(
      create(ManagerMessageSchema, {
        message: { case: "certificate", value: { certificateChainPem: certificatePem } },
      }),
    );
  }
}

let authority: Authority;
let api: ApiServer;
let manager: ScriptedManager;
let proxy: ProxyProcess;
let operator: RawClient;
const requests: RequestRecord[] = [];
const folder = mkdtempSync(join(tmpdir(), "ctrlmesh-nack-"));

before(async () => {
  authority = await createAuthority({ commonName: "mesh", days: 1 });
  api = await startApiServer({ port: 0, log: silentLog });
  api.onRequest((request) => requests.push(request));
  const admin = new RawClient({ host: "127.0.0.1", port: api.port, ca: api.caPem, token: api.adminToken });
  for (const team of ["a", "b", "c"]) {
    const body = { metadata: { name: `of-${team}`, labels: { team } } };
    const target = "/api/v1/namespaces/default/configmaps";
    assert.equal((await admin.request({ method: "POST", target, body })).status, 201);
  }
  manager = await ScriptedManager.listen(authority);
  proxy = await ProxyProcess.start({
    folder,
    pod: { name: "op-0", namespace: "op", uid: "uid-1" },
    managerPort: manager.port,
    meshCa: authority.certificatePem,
    controlToken: "opaque",
    apiServer: { port: api.port, ca: api.caPem },
    upstreamToken: api.adminToken,
  });
  operator = proxy.client(authority.certificatePem, api.adminToken);
  assert.deepEqual(await manager.offer(snapshotOf(1n, "team=a")), { code: "", reason: "" });
  await proxy.untilReady();
});
after(async () => {
  await proxy[Symbol.asyncDispose]();
  await manager[Symbol.asyncDispose]();
  await api[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

function snapshotOf(
  revision: bigint,
  selector: string,
  changes: MessageInitShape<typeof SnapshotSchema> = {},
): Snapshot {
  return create(SnapshotSchema, {
    id: idOf(5n, revision),
    shard: "shard-a",
    grant: Grant.GRANTED,
    hash: HashFunction.MURMUR3,
    limits: [create(LimitSchema, { groups: [""], resources: ["configmaps"], selector })],
    ...changes,
  });
}

function idOf(term: bigint, revision: bigint): SnapshotId {
  return create(SnapshotIdSchema, { term, revision });
}

/** The snapshot with a field of number 999 put into a message at some depth. */
function withUnknownField(revision: bigint, where: "snapshot" | "limit" | "fence"): ManagerMessage {
  const value = snapshotOf(revision, "team=c", { fence: create(FenceSchema, { buckets: [1] }) });
  const unknown = new BinaryWriter().string("a rule of tomorrow").finish();
  const field = [{ no: 999, wireType: WireType.LengthDelimited, data: unknown }];
  if (where === "snapshot") value.$unknown = field;
  else if (where === "fence" && value.fence !== undefined) value.fence.$unknown = field;
  else if (value.limits[0] !== undefined) value.limits[0].$unknown = field;
  const message = create(ManagerMessageSchema, { message: { case: "snapshot", value } });
  // Over the wire and back: what the proxy will decode is what is asserted about here.
  return fromBinary(ManagerMessageSchema, toBinary(ManagerMessageSchema, message));
}

/** What the operator sees now, and with which selector the API server was asked. */
async function viewNow(): Promise<{ readonly teams: readonly string[]; readonly selector: string }> {
  const asked = requests.length;
  const { status, body } = await operator.request({ target: "/api/v1/configmaps" });
  assert.equal(status, 200, body);
  const { items } = JSON.parse(body) as { items: { metadata: { labels?: { team?: string } } }[] };
  const list = requests.slice(asked).findLast(({ resource }) => resource === "configmaps");
  return {
    teams: items.flatMap(({ metadata }) => metadata.labels?.team ?? []),
    selector: list?.labelSelector ?? "",
  };
}

interface Refused {
  readonly title: string;
  readonly offer: (revision: bigint) => Promise<{ readonly code: string; readonly reason: string }>;
  readonly code: string;
  readonly reason: RegExp;
}

const refused: readonly Refused[] = [
  {
    title: "with an unknown field",
    offer: (revision) => manager.offerMessage(withUnknownField(revision, "snapshot")),
    code: "SNAPSHOT_UNKNOWN_FIELD",
    reason: /snapshot: field 999 is unknown; this proxy is older than the manager/,
  },
  {
    title: "with an unknown field in a limit",
    offer: (revision) => manager.offerMessage(withUnknownField(revision, "limit")),
    code: "SNAPSHOT_UNKNOWN_FIELD",
    reason: /snapshot\.limits\[0\]: field 999 is unknown/,
  },
  {
    title: "with an unknown field in the fence",
    offer: (revision) => manager.offerMessage(withUnknownField(revision, "fence")),
    code: "SNAPSHOT_UNKNOWN_FIELD",
    reason: /snapshot\.fence: field 999 is unknown/,
  },
  {
    title: "with a selector that does not parse",
    offer: (revision) => manager.offer(snapshotOf(revision, "team in (c")),
    code: "SNAPSHOT_INVALID",
    reason: /snapshot\.limits\[0\]\.selector: "team in \(c" does not parse/,
  },
  {
    title: "with an empty selector, which would show everything",
    offer: (revision) => manager.offer(snapshotOf(revision, "")),
    code: "SNAPSHOT_INVALID",
    reason: /snapshot\.limits\[0\]\.selector: is empty/,
  },
  {
    title: "that grants without a limit",
    offer: (revision) => manager.offer(snapshotOf(revision, "team=c", { limits: [] })),
    code: "SNAPSHOT_INVALID",
    reason: /snapshot\.limits: is empty although granted/,
  },
  {
    title: "of an older term",
    offer: (revision) => manager.offer(snapshotOf(revision, "team=c", { id: idOf(4n, 1_000n) })),
    code: "SNAPSHOT_OLDER",
    reason: /term 4, revision 1000 is older than what this proxy knows/,
  },
  {
    title: "of an older revision",
    offer: () => manager.offer(snapshotOf(0n, "team=c")),
    code: "SNAPSHOT_OLDER",
    reason: /term 5, revision 0 is older/,
  },
  {
    title: "of another shard",
    offer: (revision) => manager.offer(snapshotOf(revision, "team=c", { shard: "shard-b" })),
    code: "SNAPSHOT_OTHER_SHARD",
    reason: /shard-b/,
  },
];

for (const [index, { title, offer, code, reason }] of refused.entries()) {
  test(`nack: a snapshot ${title} is refused with ${code}, and the one in force stays`, async () => {
    // Each refusal begins from a good snapshot, so that one process goes on from refusal to refusal.
    const team = index % 2 === 0 ? "a" : "b";
    const goodRevision = BigInt(index) * 2n + 2n;
    assert.deepEqual(await manager.offer(snapshotOf(goodRevision, `team=${team}`)), { code: "", reason: "" });
    assert.deepEqual(await viewNow(), { teams: [team], selector: `team=${team}` });

    const answer = await offer(goodRevision + 1n);
    assert.equal(answer.code, code);
    assert.match(answer.reason, reason);
    assert.deepEqual(await viewNow(), { teams: [team], selector: `team=${team}` });
    assert.equal(await proxy.metric("snapshot_revision"), Number(goodRevision));
    assert.equal((await proxy.readiness()).status, 200);
    assert.match(proxy.log(), new RegExp(`snapshot refused.*${code}`));
  });
}

test("nack: after all refusals the same process takes a good snapshot", async () => {
  assert.deepEqual(await manager.offer(snapshotOf(100n, "team=c")), { code: "", reason: "" });
  assert.deepEqual(await viewNow(), { teams: ["c"], selector: "team=c" });
});
