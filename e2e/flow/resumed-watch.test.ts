import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { containers } from "#api/names";
import {
  applySource,
  operatorNamespace,
  ownersSettle,
  podNow,
  podOf,
  readRecords,
  type Shard,
  shardingConfig,
  startOperators,
} from "./digest-operators.ts";
import { eventually } from "./eventually.ts";
import { kinds, Mesh } from "./mesh.ts";
import { clientAsOperator } from "./pod-client.ts";
import { listIn, namesIn, type RawClient, type RawResponse, statusIn } from "./raw-client.ts";

/** What goes on from before a change of a shard's limits: `ownership.md` section 4. */

const sources = "/api/v1/configmaps?labelSelector=example.com%2Fsource%3Dtrue";
const relistAtOnce = { onLoss: "Relist", handover: { settleSeconds: 0 } };

/** Namespaces of the shards; each test moves or adds some of its own. */
const claims: Record<"digest-a" | "digest-b", string[]> = {
  "digest-a": ["held"],
  "digest-b": ["other", "moving"],
};
let mesh: Mesh;
let operator: RawClient;

function shardOf(name: keyof typeof claims): Shard {
  return {
    name,
    ordinal: name === "digest-a" ? 0 : 1,
    namespaces: claims[name],
    spec: relistAtOnce,
  };
}

/** Sources "one" and "two" of each namespace, as "namespace/name". */
function sourcesOf(namespaces: readonly string[]): readonly string[] {
  return namespaces.flatMap((namespace) => [`${namespace}/one`, `${namespace}/two`]).sort();
}

async function createNamespace(namespace: string): Promise<void> {
  await mesh.namespace(namespace);
  for (const name of ["one", "two"]) await applySource(mesh, namespace, name);
}

/** Shard a gains a namespace whose objects nobody touches meanwhile; resolves when its proxy has acknowledged. */
async function gain(namespace: string): Promise<void> {
  const { metadata: before } = await mesh.get(kinds.configMaps, namespace, "one");
  claims["digest-a"].push(namespace);
  await mesh.apply(shardingConfig(shardOf("digest-a")));
  await mesh.shardsReady(operatorNamespace);
  const { metadata: now } = await mesh.get(kinds.configMaps, namespace, "one");
  assert.equal(now?.resourceVersion, before?.resourceVersion, "the gained object is unchanged");
}

async function listNow(): Promise<{ names: readonly string[]; resourceVersion: string }> {
  const list = listIn(await operator.request({ target: sources }));
  return { names: namesIn(list), resourceVersion: list.metadata.resourceVersion };
}

function watchFrom(resourceVersion: string): Promise<RawResponse> {
  return operator.open({
    target: `${sources}&watch=true&allowWatchBookmarks=true&resourceVersion=${resourceVersion}`,
  });
}

/**
 * Lists and watches as clients do. Nothing tells a list at the very state of the change from one before it: then its
 * watch is refused, and the next list is beyond.
 */
async function relistAndWatch(): Promise<RawResponse> {
  const names = sourcesOf(claims["digest-a"]);
  const first = await listNow();
  assert.deepEqual(first.names, names);
  const watch = await watchFrom(first.resourceVersion);
  if (watch.status === 200) return watch;
  await assertExpired(watch);
  const second = await listNow();
  assert.deepEqual(second.names, names);
  assert.ok(Number(second.resourceVersion) > Number(first.resourceVersion), "the API server has moved on");
  return watchFrom(second.resourceVersion);
}

/** All names, three to a page; undefined when the next page is refused, for the same reason. */
async function listInPages(): Promise<string[] | undefined> {
  const names: string[] = [];
  let page = listIn(await operator.request({ target: `${sources}&limit=3` }));
  for (;;) {
    names.push(...namesIn(page));
    if (page.metadata.continue === undefined || page.metadata.continue === "") return names;
    const target = `${sources}&limit=3&continue=${encodeURIComponent(page.metadata.continue)}`;
    await using next = await operator.open({ target });
    if (next.status !== 200) {
      await assertExpired(next);
      return undefined;
    }
    await next.ended();
    page = listIn(next);
  }
}

/** Asserts that an answer refuses with 410 Expired in the form that clients know. */
async function assertExpired(response: RawResponse): Promise<void> {
  assert.equal(response.status, 410, response.body);
  assert.equal(await response.ended(), "whole");
  const { kind, code, reason, message } = statusIn(response);
  assert.deepEqual({ kind, code, reason }, { kind: "Status", code: 410, reason: "Expired" });
  assert.match(message, /before this shard's last change/);
}

before(async () => {
  mesh = await Mesh.open({ maxRestartDelayMs: 200 });
  const manager = await mesh.manager();
  await manager.start();
  for (const namespace of Object.values(claims).flat()) await createNamespace(namespace);
  await startOperators(mesh, [shardOf("digest-a"), shardOf("digest-b")]);
  operator = await clientAsOperator(mesh, podOf(0));
});
after(() => mesh[Symbol.asyncDispose]());

test("switch of limits: a watch from a list of the previous view gets 410, and the relist shows what was gained", async () => {
  await createNamespace("gained-plain");
  const previous = await listNow();
  assert.deepEqual(previous.names, sourcesOf(claims["digest-a"]));
  await gain("gained-plain");
  await using refused = await watchFrom(previous.resourceVersion);
  await assertExpired(refused);
  await using watch = await relistAndWatch();
  assert.equal(watch.status, 200, "a watch from the relist is open");
});

test("switch of limits: a continue token of the previous view gets 410", async () => {
  await createNamespace("gained-paginated");
  const first = listIn(await operator.request({ target: `${sources}&limit=1` }));
  assert.equal(first.items.length, 1);
  const token = encodeURIComponent(first.metadata.continue ?? "");
  assert.notEqual(token, "");
  await gain("gained-paginated");
  await using refused = await operator.open({ target: `${sources}&limit=1&continue=${token}` });
  await assertExpired(refused);

  const names = (await listInPages()) ?? (await listInPages());
  assert.deepEqual(names?.toSorted(), sourcesOf(claims["digest-a"]), "a pagination begun anew shows all");
});

test("switch of limits: a WatchList from the previous view is raised to the floor and delivers what was gained", async () => {
  await createNamespace("gained-watchlist");
  const previous = await listNow();
  await gain("gained-watchlist");
  const asked = mesh.requests.length;
  await using watchList = await operator.open({
    target: `${sources}&watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&resourceVersion=${previous.resourceVersion}`,
  });
  assert.equal(watchList.status, 200, "never 410: clients would ask again without a pause");
  await eventually(
    "the initial events are over",
    () =>
      watchList.events.some(
        ({ object }) => object.metadata?.annotations?.["k8s.io/initial-events-end"] === "true",
      ),
    { detail: () => watchList.body },
  );
  const added = watchList.events.filter(({ type }) => type === "ADDED");
  assert.deepEqual(
    added.map(({ object }) => `${object.metadata?.namespace}/${object.metadata?.name}`).sort(),
    sourcesOf(claims["digest-a"]),
  );
  const sent = mesh.requests.slice(asked).find(({ target }) => target.includes("sendInitialEvents"));
  const version = new URLSearchParams(sent?.target.split("?")[1]).get("resourceVersion");
  assert.ok(Number(version) > Number(previous.resourceVersion), `asked from ${version}`);
});

test("switch of limits: an open watch gets a 410 event and a well-formed end, and the relist shows what was gained", async () => {
  await createNamespace("gained-open");
  const previous = await listNow();
  await using watch = await watchFrom(previous.resourceVersion);
  assert.equal(watch.status, 200);
  await gain("gained-open");
  assert.equal(await watch.ended(), "whole", "the body ends with its last chunk, not by a cut connection");
  const events = watch.events.filter(({ type }) => type !== "BOOKMARK");
  assert.deepEqual(
    events.map(({ type, object: { code, reason } }) => ({ type, code, reason })),
    [{ type: "ERROR", code: 410, reason: "Expired" }],
  );
  assert.deepEqual((await listNow()).names, sourcesOf(claims["digest-a"]));
});

test("switch of limits: a watch of the previous view gets 410 also from the proxy's next process", async () => {
  await createNamespace("gained-restarted");
  const previous = await listNow();
  await gain("gained-restarted");
  await restartProxy();
  await using refused = await watchFrom(previous.resourceVersion);
  await assertExpired(refused);
  assert.deepEqual((await listNow()).names, sourcesOf(claims["digest-a"]));
});

test("switch of limits: a watch of the previous view gets 410 when the switch comes with the restart", async () => {
  await createNamespace("gained-meanwhile");
  const previous = await listNow();
  const { restarts } = await podNow(mesh, 0);
  // Frozen, the process can't hear of the change; the next one starts with the previous snapshot from its disk.
  assert.ok(mesh.cluster.pods.kill(operatorNamespace, podOf(0), containers.proxy, "SIGSTOP"));
  const gained = gain("gained-meanwhile");
  await eventually("the ledger grants what the frozen proxy does not know yet", async () => {
    const [ledger] = await mesh.list(kinds.ledgers, { namespace: operatorNamespace });
    return JSON.stringify(ledger?.spec).includes("gained-meanwhile");
  });
  assert.ok(mesh.cluster.pods.kill(operatorNamespace, podOf(0), containers.proxy, "SIGKILL"));
  await eventually("the proxy runs again", async () => (await podNow(mesh, 0)).restarts > restarts);
  await using resumed = await openPatiently(previous.resourceVersion);
  if (resumed.status === 200) {
    // Opened under the previous snapshot: then the switch must end it.
    assert.equal(await resumed.ended(), "whole");
    assert.equal(resumed.events.at(-1)?.object.code, 410, resumed.body);
  } else await assertExpired(resumed);
  await gained;
  // The status may say that all is done before the next process has the new view.
  await eventually("the next process shows what was gained", async () =>
    (await listNow()).names.includes("gained-meanwhile/one"),
  );
  assert.deepEqual((await listNow()).names, sourcesOf(claims["digest-a"]));
});

test("switch of limits: the gaining operator's informer shows what another shard gave up, and no process restarts", async () => {
  await operatorsShowTheirShards();
  const startsBefore = await starts();
  claims["digest-b"] = claims["digest-b"].filter((namespace) => namespace !== "moving");
  claims["digest-a"].push("moving");
  for (const name of ["digest-a", "digest-b"] as const) await mesh.apply(shardingConfig(shardOf(name)));
  await mesh.shardsReady(operatorNamespace);
  await operatorsShowTheirShards();
  assert.deepEqual(await starts(), startsBefore);
});

async function operatorsShowTheirShards(): Promise<void> {
  await ownersSettle(mesh, {
    [podOf(0)]: sourcesOf(claims["digest-a"]),
    [podOf(1)]: sourcesOf(claims["digest-b"]),
  });
}

/** What tells one run of a pod and its operator from another. */
async function starts(): Promise<readonly string[]> {
  const records = await readRecords(mesh);
  const uids = await Promise.all([podNow(mesh, 0), podNow(mesh, 1)]);
  return [
    ...records.map(({ pod, startedAt }) => `${pod} ${startedAt}`),
    ...uids.map(({ uid }) => uid),
  ].sort();
}

async function restartProxy(): Promise<void> {
  const { restarts } = await podNow(mesh, 0);
  assert.ok(mesh.cluster.pods.kill(operatorNamespace, podOf(0), containers.proxy, "SIGKILL"));
  await eventually("the proxy's next process serves", async () => {
    if ((await podNow(mesh, 0)).restarts === restarts) return false;
    return (await operator.request({ target: "/version" })).status === 200;
  });
}

/** A watch as soon as the proxy listens again. */
async function openPatiently(resourceVersion: string): Promise<RawResponse> {
  let response: RawResponse | undefined;
  await eventually("the proxy answers a watch", async () => {
    response = await watchFrom(resourceVersion);
    return response.status !== 429;
  });
  assert.ok(response);
  return response;
}
