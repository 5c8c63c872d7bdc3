import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "#runtime/fake-clock";
import { silentLog as log } from "#runtime/log";
import { eventually } from "./eventually.ts";
import { startInformer } from "./informer.ts";
import { respond, type SeenRequest, scriptedServer, status } from "./scripted-server.ts";

const signal = AbortSignal.timeout(20_000);
const pods = { group: "", version: "v1", resource: "pods", namespaced: true };
const pod = (name: string, resourceVersion: string) => ({
  metadata: { name, namespace: "a", resourceVersion, managedFields: [{ manager: "x" }] },
});
const isWatch = ({ query }: SeenRequest) => query.get("watch") === "true";

/** A server whose watches stay open until the test writes to them. */
async function podServer(lists: (request: SeenRequest) => unknown) {
  const clock = new FakeClock();
  const watches: { write(event: unknown): void; end(): void; query: URLSearchParams }[] = [];
  const server = await scriptedServer((request, response) => {
    if (!isWatch(request)) {
      const body = lists(request);
      const code = typeof body === "object" && body !== null && "code" in body ? Number(body.code) : 200;
      respond(response, code, body);
      return;
    }
    response.writeHead(200);
    response.flushHeaders();
    watches.push({
      query: request.query,
      write: (event) => response.write(`${JSON.stringify(event)}\n`),
      end: () => response.end(),
    });
  }, clock);
  const informer = startInformer(server.client, { kind: pods }, { clock, log, random: () => 0 });
  return { server, clock, watches, informer };
}

test("informer: pages are joined, managedFields dropped, kinds filled in, and the watch goes on from the list", async () => {
  const { server, watches, informer } = await podServer(({ query }) =>
    query.get("continue") === null
      ? {
          kind: "PodList",
          apiVersion: "v1",
          metadata: { resourceVersion: "50", continue: "next" },
          items: [pod("p1", "3")],
        }
      : { kind: "PodList", apiVersion: "v1", metadata: { resourceVersion: "50" }, items: [pod("p2", "4")] },
  );
  await using _server = server;
  await using _informer = informer;
  await informer.synced(signal);
  assert.deepEqual(
    informer.list().map((each) => each.metadata?.name),
    ["p1", "p2"],
  );
  assert.deepEqual(informer.get({ namespace: "a", name: "p1" }), {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "p1", namespace: "a", resourceVersion: "3" },
  });
  await eventually(() => watches.length === 1, "the watch");
  assert.equal(watches[0]?.query.get("resourceVersion"), "50");
  assert.equal(server.seen[0]?.query.get("limit"), "500");
  assert.equal(server.seen[0]?.query.get("resourceVersion"), null, "a lagging cache could answer");
});

test("informer: onChange fires after the copy changed, with what was before", async () => {
  const { server, watches, informer } = await podServer(() => ({
    metadata: { resourceVersion: "5" },
    items: [],
  }));
  await using _server = server;
  await using _informer = informer;
  const told: string[] = [];
  informer.onChange(({ name, previous, object }) => {
    assert.equal(informer.get(name), object);
    told.push(`${name.name} ${previous?.metadata?.resourceVersion} ${object?.metadata?.resourceVersion}`);
  });
  await eventually(() => watches.length === 1, "the watch");
  watches[0]?.write({ type: "ADDED", object: pod("p", "6") });
  watches[0]?.write({ type: "MODIFIED", object: pod("p", "7") });
  watches[0]?.write({ type: "DELETED", object: pod("p", "8") });
  await eventually(() => told.length === 3, "three changes");
  assert.deepEqual(told, ["p undefined 6", "p 6 7", "p 7 undefined"]);
});

test("informer: a watch that ends is taken up from the last bookmark, without a list", async () => {
  const { server, watches, informer } = await podServer(() => ({
    metadata: { resourceVersion: "5" },
    items: [],
  }));
  await using _server = server;
  await using _informer = informer;
  await eventually(() => watches.length === 1, "the watch");
  watches[0]?.write({ type: "BOOKMARK", object: { metadata: { resourceVersion: "90" } } });
  watches[0]?.end();
  await eventually(() => watches.length === 2, "the second watch");
  assert.equal(watches[1]?.query.get("resourceVersion"), "90");
  assert.equal(server.seen.filter((request) => !isWatch(request)).length, 1);
});

test("informer: 410 lists again and tells what went and what changed meanwhile", async () => {
  let lists = 0;
  const { server, watches, informer, clock } = await podServer(() => {
    lists += 1;
    const items =
      lists === 1
        ? [pod("gone", "1"), pod("same", "2"), pod("old", "3")]
        : [pod("same", "2"), pod("old", "9")];
    return { metadata: { resourceVersion: lists === 1 ? "5" : "20" }, items };
  });
  await using _server = server;
  await using _informer = informer;
  await informer.synced(signal);
  const told: string[] = [];
  informer.onChange(({ name, object }) =>
    told.push(`${name.name} ${object === undefined ? "gone" : "changed"}`),
  );
  await eventually(() => watches.length === 1, "the watch");
  watches[0]?.write({ type: "ERROR", object: status(410, "Expired", "too old resource version") });
  await clock.whenWaiting(1);
  await eventually(() => clock.nextDueInMs === 200, "the pause before the list");
  await clock.advance(200);
  await eventually(() => told.length === 2, "two changes");
  assert.deepEqual(told.sort(), ["gone gone", "old changed"]);
  assert.equal(informer.get({ namespace: "a", name: "gone" }), undefined);
  await eventually(() => watches.length === 2, "the second watch");
  assert.equal(watches[1]?.query.get("resourceVersion"), "20");
});

test("informer: a connection that is silent for two minutes is given up and the watch resumed", async () => {
  const { server, watches, informer, clock } = await podServer(() => ({
    metadata: { resourceVersion: "5" },
    items: [],
  }));
  await using _server = server;
  await using _informer = informer;
  await eventually(() => watches.length === 1, "the watch");
  await eventually(() => clock.nextDueInMs === 120_000, "the silence limit alone");
  await clock.advance(120_000);
  await eventually(() => clock.nextDueInMs === 200, "the pause");
  await clock.advance(200);
  await eventually(() => watches.length === 2, "the second watch");
  assert.equal(watches[1]?.query.get("resourceVersion"), "5");
});

test("informer: a forbidden kind is tried again with growing pauses, and synced waits", async () => {
  let lists = 0;
  const { server, informer, clock } = await podServer(() => {
    lists += 1;
    return lists < 4 ? status(403, "Forbidden", "no") : { metadata: { resourceVersion: "5" }, items: [] };
  });
  await using _server = server;
  await using _informer = informer;
  for (let n = 1; n < 4; n++) {
    await eventually(() => lists === n && clock.nextDueInMs === 200, `pause ${n}`);
    assert.equal(informer.isSynced, false);
    await clock.advance(200);
  }
  await informer.synced(signal);
});

test("informer: an expired continue token starts the list again", async () => {
  let expired = false;
  const { server, informer } = await podServer(({ query }) => {
    if (query.get("continue") === null) {
      return {
        metadata: { resourceVersion: "5", ...(expired ? {} : { continue: "t" }) },
        items: [pod("p", "1")],
      };
    }
    expired = true;
    return status(410, "Expired", "the provided continue parameter is too old");
  });
  await using _server = server;
  await using _informer = informer;
  await informer.synced(signal);
  assert.equal(informer.list().length, 1);
});
