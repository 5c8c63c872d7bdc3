import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type ControlPlane, startControlPlane } from "../cluster/control-plane.ts";
import { type Kubectl, kubectl } from "../cluster/kubectl.ts";
import { eventually, ProxiedOperator } from "../proxied/proxied-operator.ts";
import { SnapshotManager } from "../proxied/snapshot-manager.ts";

/** The proxy as a process between real clients and a real API server, whose audit log tells what got through. */

const configMaps = "/api/v1/configmaps";
const protobuf = { accept: "application/vnd.kubernetes.protobuf" };

let manager: SnapshotManager;
let plane: ControlPlane;
let admin: Kubectl;
let operator: ProxiedOperator;

before(async () => {
  [manager, plane] = await Promise.all([
    SnapshotManager.listen(),
    startControlPlane({ controllerManager: true }),
  ]);
  admin = kubectl(plane.kubeconfig);
  const meshCaPem = manager.authority.certificatePem;
  operator = await ProxiedOperator.create({ plane, managerPort: manager.port, meshCaPem });
  await admin.ok(
    ["apply", "-f", "-"],
    manifest(["a", "b", "c"].flatMap((team) => [team, `${team}/one-of-${team}`])),
  );
  operator.start();
  await manager.grantTeams(["a"]);
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

/** Something is written, as in every real cluster each second: nothing goes on from where a store stands still. */
async function movesOn(): Promise<void> {
  await admin.ok(["annotate", "namespace", "default", `moved=${moves++}`, "--overwrite"]);
}

let moves = 0;

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
  await manager.grantTeams(["a", "b"], ["c"]);
  const events = (await Promise.all([json.toArray(), binary.toArray()])).map((chunks) =>
    Buffer.concat(chunks).toString("latin1"),
  );
  assert.match(events[0] ?? "", /\{"type":"ERROR",.*"reason":"Expired","code":410\}\}\n$/);
  assert.match(events[1] ?? "", /ERROR.*k8s\0.*Expired/s);
  await movesOn();
  const resumed = `${configMaps}?watch=1&resourceVersion=${old.metadata.resourceVersion}`;
  assert.equal((await operator.ask(resumed)).status, 410);
  const page = `${configMaps}?limit=1&continue=${old.metadata.continue}`;
  assert.equal((await operator.ask(page)).status, 410);
  assert.match(await seen("resourceVersion=0"), /b\/one-of-b/);
  await movesOn();
  const { resourceVersion } = (await list()).metadata;
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
