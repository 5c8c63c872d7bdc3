import "reflect-metadata";
import assert from "node:assert/strict";
import { once } from "node:events";
import { createSecureServer, type Http2SecureServer, type ServerHttp2Session } from "node:http2";
import { after, before, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import {
  ControlService,
  Grant,
  HashFunction,
  type ManagerMessage,
  ManagerMessageSchema,
  type ProxyMessage,
  type SnapshotSchema,
} from "#api/gen/ctrlmesh/v1/control_pb";
import { type Authority, createAuthority, issueCertificate } from "#runtime/x509";
import { type ControlPlane, startControlPlane } from "../cluster/control-plane.ts";
import { type Kubectl, kubectl } from "../cluster/kubectl.ts";
import { eventually, ProxiedOperator } from "./proxied-operator.ts";

/** The proxy as a process between real clients and a real API server, whose audit log tells what got through. */

/** A manager that certifies each proxy and sends to each stream the snapshot that the test has set. */
class Manager implements AsyncDisposable {
  readonly authority: Authority;
  readonly #server: Http2SecureServer;
  #snapshot: MessageInitShape<typeof SnapshotSchema> = {};
  #revision = 0n;
  #acked = 0n;
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #streams = new Set<(message: ManagerMessage) => void>();

  private constructor(authority: Authority, certificate: { cert: string; key: string }) {
    this.authority = authority;
    const adapter = connectNodeAdapter({
      routes: (router) => {
        router.service(ControlService, {
          connect: (messages, { signal }) => this.#serve(messages, signal),
        });
      },
    });
    this.#server = createSecureServer(certificate, adapter).listen(0, "127.0.0.1");
    this.#server.on("session", (session) => {
      this.#sessions.add(session);
      session.once("close", () => this.#sessions.delete(session));
    });
  }

  static async listen(): Promise<Manager> {
    const authority = await createAuthority({ commonName: "mesh", days: 1 });
    const { certificatePem, privateKeyPem } = await issueCertificate(authority, {
      commonName: "manager",
      dnsNames: ["ctrlmesh-manager.ctrlmesh.svc"],
      ipAddresses: [],
      days: 1,
      usage: "server",
    });
    const manager = new Manager(authority, { cert: certificatePem, key: privateKeyPem ?? "" });
    await once(manager.#server, "listening");
    return manager;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  /** Everything of the teams is the shard's from now on; resolves when the proxy has said so. */
  async grant(teams: readonly string[], fenced: readonly string[] = []): Promise<void> {
    this.#revision++;
    this.#snapshot = {
      id: { term: 1n, revision: this.#revision },
      shard: "shard-a",
      grant: Grant.GRANTED,
      hash: HashFunction.MURMUR3,
      limits: [{ groups: ["*"], resources: ["*"], selector: `team in (${teams.join(",")})` }],
      unfilteredResources: [{ group: "", resource: "namespaces" }],
      unfilteredNamespaces: ["op"],
      fence: { namespaces: [...fenced] },
      epoch: this.#revision,
    };
    for (const send of this.#streams) send(this.#current());
    await this.acked();
  }

  async acked(): Promise<void> {
    await eventually(
      () => this.#acked === this.#revision,
      () => `no ack of revision ${this.#revision}`,
    );
  }

  #current(): ManagerMessage {
    return create(ManagerMessageSchema, { message: { case: "snapshot", value: this.#snapshot } });
  }

  async *#serve(messages: AsyncIterable<ProxyMessage>, signal: AbortSignal): AsyncGenerator<ManagerMessage> {
    const queue: ManagerMessage[] = this.#revision > 0n ? [this.#current()] : [];
    let wake = Promise.withResolvers<void>();
    const send = (message: ManagerMessage) => {
      queue.push(message);
      wake.resolve();
    };
    this.#streams.add(send);
    signal.addEventListener("abort", () => wake.resolve());
    void this.#receive(messages, send).catch(() => undefined);
    while (!signal.aborted) {
      yield* queue.splice(0);
      await wake.promise;
      wake = Promise.withResolvers();
    }
    this.#streams.delete(send);
  }

  async #receive(
    messages: AsyncIterable<ProxyMessage>,
    send: (message: ManagerMessage) => void,
  ): Promise<void> {
    for await (const { message } of messages) {
      if (message.case === "snapshotResult" && message.value.accepted) {
        this.#acked = message.value.id?.revision ?? 0n;
      } else if (message.case === "certificateRequest") {
        const { certificatePem } = await issueCertificate(this.authority, {
          commonName: "proxy",
          dnsNames: ["kubernetes.default.svc"],
          ipAddresses: ["127.0.0.1"],
          days: 1,
          usage: "server",
          publicKeySpki: message.value.publicKeySpki,
        });
        const value = { certificateChainPem: certificatePem };
        send(create(ManagerMessageSchema, { message: { case: "certificate", value } }));
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    for (const session of this.#sessions) session.destroy();
    await once(this.#server, "close");
  }
}

const configMaps = "/api/v1/configmaps";
const protobuf = { accept: "application/vnd.kubernetes.protobuf" };

let manager: Manager;
let plane: ControlPlane;
let admin: Kubectl;
let operator: ProxiedOperator;

before(async () => {
  [manager, plane] = await Promise.all([Manager.listen(), startControlPlane({ controllerManager: true })]);
  admin = kubectl(plane.kubeconfig);
  const meshCaPem = manager.authority.certificatePem;
  operator = await ProxiedOperator.create({ plane, managerPort: manager.port, meshCaPem });
  await admin.ok(
    ["apply", "-f", "-"],
    manifest(["a", "b", "c"].flatMap((team) => [team, `${team}/one-of-${team}`])),
  );
  operator.start();
  await manager.grant(["a"]);
  await operator.untilReady();
});

after(async () => {
  await operator?.[Symbol.asyncDispose]();
  await manager?.[Symbol.asyncDispose]();
  await plane?.[Symbol.asyncDispose]();
});

/** Namespaces ("a") and ConfigMaps ("a/one"), labelled with the team that their namespace is named for. */
function manifest(names: readonly string[]): string {
  const items = names.map((path) => {
    const [team = "", name] = path.split("/");
    const labels = { team };
    return name === undefined
      ? { apiVersion: "v1", kind: "Namespace", metadata: { name: team, labels } }
      : { apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace: team, labels } };
  });
  return JSON.stringify({ apiVersion: "v1", kind: "List", items });
}

interface List {
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
  readonly items: readonly { readonly metadata: { readonly namespace: string; readonly name: string } }[];
}

async function list(query = ""): Promise<List> {
  const { status, body } = await operator.ask(`${configMaps}?${query}`);
  assert.equal(status, 200, body.toString());
  return JSON.parse(body.toString());
}

const seen = async (query = ""): Promise<string> =>
  (await list(query)).items.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`).join(" ");

test("proxy: kubectl sees its shard in tables, JSON and watches, and writes and reads single objects as ever", async () => {
  const user = operator.kubectl;
  assert.equal(await user.ok(["get", "configmaps", "-A", "-o", "name"]), "configmap/one-of-a\n");
  assert.match(await user.ok(["get", "configmaps", "-A"]), /^NAMESPACE.*\na +one-of-a +0 .*\n$/);
  assert.match(await user.ok(["get", "configmaps", "-n", "b"]), /^$/);
  assert.equal(
    await user.ok(["get", "configmap", "one-of-b", "-n", "b", "-o", "name"]),
    "configmap/one-of-b\n",
    "a get by name is not a list",
  );
  await using watch = user.follow(["get", "configmaps", "-A", "--watch", "--output-watch-events"]);
  await watch.until(/ADDED +a +one-of-a/);
  await admin.ok(["apply", "-f", "-"], manifest(["b/two", "a/two"]));
  await watch.until(/ADDED +a +two/);
  await user.ok(["apply", "--server-side", "-f", "-"], manifest(["a/three"]));
  await watch.until(/ADDED +a +three/);
  assert.doesNotMatch(watch.printed, / b +/);
  await user.ok(["delete", "configmaps", "--all", "-n", "b"]);
  assert.equal(await admin.ok(["get", "configmap", "two", "-n", "b", "-o", "name"]), "configmap/two\n");
  await user.ok(["delete", "configmap", "two", "-n", "a"]);
  await watch.until(/DELETED +a +two/);
  assert.equal(await user.ok(["get", "events", "-n", "op", "-o", "name"]), "", "the own namespace");
});

test("proxy: no form of list, watch or deletion gets to the API server without the selector", async () => {
  const before = operator.reads().length;
  const timed = "timeoutSeconds=1";
  const targets = [
    `${configMaps}/`,
    "/api/v1/%63onfigmaps",
    `${configMaps}?%6cabelSelector=team%3Db`,
    `${configMaps}?labelSelector=team%3Db&labelSelector=team%3Dc`,
    `${configMaps}?labelSelector&x`,
    `${configMaps}?labelSelector=%00`,
    `${configMaps}?x=%zz&a;labelSelector=team%3Db`,
    `${configMaps}?labelSelector=team+in+(a,b,c)`,
    `${configMaps}?fieldSelector=metadata.namespace%3Db`,
    `${configMaps}?limit=1&resourceVersion=0`,
    "/api/v1/namespaces/b/configmaps?fieldSelector=metadata.name%3Done-of-b",
    `/api/v1/watch/configmaps?${timed}`,
    `/api/v1/watch/namespaces/b/configmaps/one-of-b?${timed}`,
    `${configMaps}?watch&${timed}`,
    `${configMaps}?watch=0&watch=1`,
    `${configMaps}?watch=1&watch=0&${timed}`,
    `${configMaps}?w%61tch=T&${timed}&resourceVersion=0`,
    `${configMaps}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&${timed}`,
    "/apis/events.k8s.io/v1/events?allowWatchBookmarks=true",
  ];
  await Promise.all(
    targets.flatMap((target) =>
      [{}, protobuf].map(async (headers) => {
        const { body } = await operator.ask(target, headers);
        assert.doesNotMatch(body.toString("latin1"), /one-of-[bc]/, target);
      }),
    ),
  );
  for (const target of [`//api/v1/configmaps`, "/api/v1/./configmaps", "/api/v1/namespaces%2Fb/configmaps"])
    assert.equal((await operator.ask(target)).status, 400, target);
  const override = { "x-http-method-override": "DELETE", "content-length": "0" };
  assert.notEqual((await operator.ask("/api/v1/namespaces/b/configmaps", override, "POST")).status, 200);
  const upgrade = { connection: "Upgrade", upgrade: "websocket", "sec-websocket-version": "13" };
  assert.equal((await operator.ask(`${configMaps}?watch=1`, upgrade)).status, 400);
  await operator.ask("/api/v1/namespaces/b/configmaps", {}, "DELETE");
  assert.match(await admin.ok(["get", "configmaps", "-n", "b", "-o", "name"]), /configmap\/one-of-b/);
  assert.ok(operator.reads().length > before + 30, "the audit log tells of them");
});

test("proxy: after a gain no watch and no page goes on from the previous view, and a fence holds", async () => {
  const [json, binary] = await Promise.all(
    [{}, protobuf].map((headers) => operator.open(`${configMaps}?watch=1`, headers)),
  );
  assert.ok(json !== undefined && binary !== undefined);
  const old = await list("limit=1");
  await manager.grant(["a", "b"], ["c"]);
  const events = (await Promise.all([json.toArray(), binary.toArray()])).map((chunks) =>
    Buffer.concat(chunks).toString("latin1"),
  );
  assert.match(events[0] ?? "", /\{"type":"ERROR",.*"reason":"Expired","code":410\}\}\n$/);
  assert.match(events[1] ?? "", /ERROR.*k8s\0.*Expired/s);
  const resumed = `${configMaps}?watch=1&resourceVersion=${old.metadata.resourceVersion}`;
  assert.equal((await operator.ask(resumed)).status, 410);
  const page = `${configMaps}?limit=1&continue=${old.metadata.continue}`;
  assert.equal((await operator.ask(page)).status, 410);
  const { resourceVersion } = (await list()).metadata;
  assert.match(await seen("resourceVersion=0"), /b\/one-of-b/);
  const from = `${configMaps}?watch=1&resourceVersion=${resourceVersion}&timeoutSeconds=1`;
  assert.equal((await operator.ask(from)).status, 200);

  const { exitCode, stderr } = await operator.kubectl.run(["apply", "-f", "-"], manifest(["c/new"]));
  assert.equal(exitCode, 1);
  assert.match(stderr, /namespace "c" has moved away/);
  assert.equal((await operator.ask("/api/v1/namespaces/c/configmaps", {}, "DELETE")).status, 403);
  assert.equal((await operator.ask(configMaps, {}, "DELETE")).status, 403);
});

test("proxy: killed and started again it goes on with the same view, and so it does when the API server is", async () => {
  const { resourceVersion } = (await list()).metadata;
  await operator.kill();
  await admin.ok(["apply", "-f", "-"], manifest(["a/meanwhile", "c/meanwhile"]));
  operator.start();
  await operator.untilReady();
  assert.match(await seen(), /a\/meanwhile/);
  const from = `${configMaps}?watch=1&resourceVersion=${resourceVersion}&timeoutSeconds=1`;
  const { status, body } = await operator.ask(from);
  assert.ok(status === 410 || /"name":"meanwhile","namespace":"a"/.test(body.toString()), body.toString());
  await plane.restartApiServer();
  await eventually(
    async () => (await operator.ask(configMaps)).status === 200,
    () => "no list behind the restart of the API server",
  );
  assert.doesNotMatch(await seen(), /c\//);
});

test("proxy: the audit log knows no list, watch or deletecollection of the operator without the selector", () => {
  const isOwn = (target: string) => /\/namespaces\/op\/|^\/api\/v1\/namespaces(\?|$)/.test(target);
  const bare = operator
    .reads()
    .filter(({ target }) => !isOwn(target) && !/[?&]labelSelector=team%(3Da|20in%20\(a%2Cb\))/.test(target));
  assert.deepEqual(bare, []);
});
