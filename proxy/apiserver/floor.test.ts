import assert from "node:assert/strict";
import { test } from "node:test";
import { parseRequestInfo } from "#kube/wire/request-info";
import { FakeClock } from "#runtime/fake-clock";
import { silentLog } from "#runtime/log";
import { FloorTable } from "./floor.ts";
import type { FloorAnswer, FloorScopeDeps, FloorState } from "./floor-scope.ts";

/** A table whose reads are answered by the test, in any order. */
class Bench {
  readonly clock = new FakeClock();
  readonly stop = new AbortController();
  readonly reads: {
    readonly scope: string;
    readonly selector: string;
    answer(answer: FloorAnswer | Error): Promise<void>;
  }[] = [];
  known = 0;
  readonly deps: FloorScopeDeps = {
    read: ({ group, version, resource, namespace, selector }) => {
      const { promise, resolve, reject } = Promise.withResolvers<FloorAnswer>();
      const scope = [group, version, resource, namespace ?? "*"].join(" ");
      this.reads.push({
        scope,
        selector,
        answer: async (answer) => {
          if (answer instanceof Error) reject(answer);
          else resolve(answer);
          await new Promise((turn) => setImmediate(turn));
        },
      });
      return promise;
    },
    clock: this.clock,
    log: silentLog,
    random: () => 0,
    signal: this.stop.signal,
    onKnown: () => {
      this.known++;
    },
  };
  readonly table = FloorTable.fromJSON(undefined, this.deps);

  async answer(answer: FloorAnswer | Error): Promise<void> {
    const read = this.reads.at(-1);
    assert.ok(read, "a read was started");
    await read.answer(answer);
  }

  get scopes(): string[] {
    return this.reads.map((read) => read.scope);
  }
}

const pods = parseRequestInfo("GET", "/api/v1/pods?watch=1&resourceVersion=5");
const podsInX = parseRequestInfo("GET", "/api/v1/namespaces/x/pods");
const podsInY = parseRequestInfo("GET", "/api/v1/namespaces/y/pods");
const deployments = parseRequestInfo("GET", "/apis/apps/v1/deployments");
const known = (resourceVersion: string): FloorAnswer => ({ kind: "known", resourceVersion });
const isPods = (_group: string, resource: string) => resource === "pods";

const versionOf = (state: FloorState): string =>
  state.kind === "known" ? state.floor.resourceVersion : state.kind;

async function isOver(state: FloorState): Promise<boolean> {
  assert.equal(state.kind, "wait");
  if (state.kind !== "wait") return false;
  return Promise.race([
    state.ready.then(() => true),
    new Promise<boolean>((resolve) => setImmediate(() => resolve(false))),
  ]);
}

test("floors: the first request starts one cluster-wide read, all wait for it, then it is known", async () => {
  const bench = new Bench();
  const first = bench.table.stateFor(pods, "s");
  const second = bench.table.stateFor(podsInX, "s");
  assert.deepEqual(bench.scopes, [" v1 pods *"]);
  assert.equal(await isOver(first), false);
  await bench.answer(known("100"));
  assert.equal(await isOver(first), true);
  assert.equal(await isOver(second), true);
  assert.equal(versionOf(bench.table.stateFor(podsInX, "s")), "100");
  assert.equal(bench.reads.length, 1);
  assert.equal(
    bench.reads[0]?.selector,
    "s",
    "no read of a limited resource goes without the shard's selector",
  );
  assert.equal(bench.known, 1);
});

test("floors: each resource has its own", async () => {
  const bench = new Bench();
  bench.table.stateFor(pods, "s");
  await bench.answer(known("100"));
  assert.equal(bench.table.stateFor(deployments, "s").kind, "wait");
  assert.deepEqual(bench.scopes, [" v1 pods *", "apps v1 deployments *"]);
});

test("floors: where the cluster may not be listed, each namespace is read when it is asked for", async () => {
  const bench = new Bench();
  bench.table.stateFor(podsInX, "s");
  await bench.answer({ kind: "forbidden" });
  assert.equal(bench.table.stateFor(podsInX, "s").kind, "wait");
  await bench.answer(known("100"));
  assert.equal(versionOf(bench.table.stateFor(podsInX, "s")), "100");
  assert.equal(bench.table.stateFor(podsInY, "s").kind, "wait");
  await bench.answer({ kind: "forbidden" });
  assert.equal(bench.table.stateFor(podsInY, "s").kind, "unreadable");
  assert.equal(bench.table.stateFor(pods, "s").kind, "unreadable");
  assert.deepEqual(bench.scopes, [" v1 pods *", " v1 pods x", " v1 pods y"]);
});

test("floors: what may not be listed or is not served is read again after a while", async () => {
  for (const [answer, retryMs] of [
    [{ kind: "forbidden" }, 30_000],
    [{ kind: "absent" }, 1_000],
  ] as const) {
    const bench = new Bench();
    bench.table.stateFor(pods, "s");
    await bench.answer(answer);
    await bench.clock.advance(retryMs - 1);
    assert.equal(bench.table.stateFor(pods, "s").kind, "unreadable");
    await bench.clock.advance(1);
    assert.equal(bench.table.stateFor(pods, "s").kind, "wait");
    await bench.answer(known("100"));
    assert.equal(versionOf(bench.table.stateFor(pods, "s")), "100");
  }
});

test("floors: a failed read is tried again with back-off while requests go on waiting", async () => {
  const bench = new Bench();
  const first = bench.table.stateFor(pods, "s");
  await bench.answer(new Error("away"));
  // It lets go of those who wait, for they may have given up, and whoever still wants to know asks again.
  assert.equal(await isOver(first), true);
  const failed = bench.table.stateFor(pods, "s");
  assert.equal(await isOver(failed), false);
  assert.equal(bench.reads.length, 1);
  await bench.clock.advance(100);
  assert.equal(bench.reads.length, 2);
  await bench.answer(known("no number"));
  assert.equal(await isOver(failed), true);
  const state = bench.table.stateFor(pods, "s");
  assert.equal(await isOver(state), false);
  await bench.clock.advance(5_000);
  await bench.answer(known("100"));
  assert.equal(await isOver(state), true);
});

test("floors: a resource without versions has the lowest floor", async () => {
  const bench = new Bench();
  bench.table.stateFor(pods, "s");
  await bench.answer(known(""));
  assert.equal(versionOf(bench.table.stateFor(pods, "s")), "0");
});

test("floors: a reset forgets the changed resources only", async () => {
  const bench = new Bench();
  bench.table.stateFor(pods, "s");
  await bench.answer(known("100"));
  bench.table.stateFor(deployments, "s");
  await bench.answer(known("101"));
  bench.table.reset(isPods);
  assert.equal(versionOf(bench.table.stateFor(deployments, "s")), "101");
  assert.equal(bench.table.stateFor(pods, "s").kind, "wait");
  await bench.answer(known("200"));
  assert.equal(versionOf(bench.table.stateFor(pods, "s")), "200");
});

test("floors: a read that began before a reset is not taken for one behind it", async () => {
  const bench = new Bench();
  const before = bench.table.stateFor(pods, "s");
  bench.table.reset(isPods);
  assert.equal(await isOver(before), true, "its requests ask again");
  assert.equal(bench.table.stateFor(pods, "s").kind, "wait");
  await bench.reads[0]?.answer(known("100"));
  assert.equal(bench.table.stateFor(pods, "s").kind, "wait");
  assert.equal(bench.known, 0, "nothing of it goes to the disk");
  await bench.reads[1]?.answer(known("200"));
  assert.equal(versionOf(bench.table.stateFor(pods, "s")), "200");
});

test("floors: another selector makes a floor void even without a reset", async () => {
  const bench = new Bench();
  bench.table.stateFor(pods, "s");
  await bench.answer(known("100"));
  assert.equal(bench.table.stateFor(pods, "other").kind, "wait");
  assert.equal(bench.reads.length, 2);
});

test("floors: while lists of the previous view drain, requests of their resource wait and nothing is read", async () => {
  const bench = new Bench();
  bench.table.hold(isPods);
  const held = bench.table.stateFor(pods, "s");
  assert.equal(bench.table.stateFor(deployments, "s").kind, "wait");
  assert.deepEqual(bench.scopes, ["apps v1 deployments *"]);
  assert.equal(await isOver(held), false);
  bench.table.reset(isPods);
  assert.equal(await isOver(held), true);
  bench.table.stateFor(pods, "s");
  assert.deepEqual(bench.scopes, ["apps v1 deployments *", " v1 pods *"]);
});

test("floors: a second switch keeps its hold when the first one has drained", () => {
  const bench = new Bench();
  bench.table.hold(() => true);
  bench.table.hold(isPods);
  // The first drain gives back all but what the second switch took over.
  bench.table.reset((_group, resource) => resource !== "pods");
  bench.table.stateFor(pods, "s");
  bench.table.stateFor(deployments, "s");
  assert.deepEqual(bench.scopes, ["apps v1 deployments *"]);
  bench.table.reset(isPods);
  bench.table.stateFor(pods, "s");
  assert.equal(bench.reads.length, 2);
  bench.table.hold(isPods);
  bench.table.stateFor(pods, "s");
  assert.equal(bench.reads.length, 2, "an earlier reset does not lift a later hold");
});

test("floors: what is known goes to the disk and comes back, under its selector", async () => {
  const bench = new Bench();
  bench.table.stateFor(podsInX, "s");
  await bench.answer({ kind: "forbidden" });
  bench.table.stateFor(podsInX, "s");
  await bench.answer(known("100"));
  bench.table.stateFor(deployments, "s");
  await bench.answer(known("101"));
  const disk: unknown = JSON.parse(JSON.stringify(bench.table));
  assert.deepEqual(disk, {
    floors: [
      { group: "", resource: "pods", namespace: "x", selector: "s", resourceVersion: "100" },
      { group: "apps", resource: "deployments", selector: "s", resourceVersion: "101" },
    ],
    onceLimited: ["/pods", "apps/deployments"],
  });
  const next = new Bench();
  const restored = FloorTable.fromJSON(disk, next.deps);
  assert.equal(versionOf(restored.stateFor(deployments, "s")), "101");
  assert.deepEqual(restored.toJSON(), disk);
  assert.equal(restored.stateFor(deployments, "other").kind, "wait");
});

test("floors: what a view has limited is remembered over restarts, also when its limit and its floor are gone", async () => {
  const bench = new Bench();
  bench.table.stateFor(deployments, "s");
  await bench.answer(known("101"));
  bench.table.hold(() => true);
  bench.table.reset(() => true);
  const disk = JSON.parse(JSON.stringify(bench.table));
  assert.deepEqual(disk, { floors: [], onceLimited: ["apps/deployments"] });
  const restored = FloorTable.fromJSON(disk, new Bench().deps);
  assert.equal(restored.stateForUnlimited(deployments)?.kind, "wait");
  assert.equal(restored.stateForUnlimited(pods), undefined);
});

test("floors: what the disk holds wrongly is left out and read anew", () => {
  const entry = { group: "apps", resource: "deployments", selector: "s", resourceVersion: "101" };
  const wrong = [
    undefined,
    null,
    7,
    {},
    { floors: {} },
    { floors: [], onceLimited: {} },
    { floors: [], onceLimited: [7] },
    { floors: [{ ...entry, isClean: "yes" }], firstView: 7 },
    { floors: [null, 7, {}, { ...entry, selector: undefined }, { ...entry, namespace: 7 }] },
    {
      floors: [
        { ...entry, resourceVersion: "x" },
        { ...entry, resourceVersion: "" },
      ],
    },
  ];
  for (const disk of wrong) {
    assert.deepEqual(FloorTable.fromJSON(disk, new Bench().deps).toJSON(), { floors: [] });
  }
});

test("floors: at most 10,000 are kept, the oldest goes first and is read again", async () => {
  const bench = new Bench();
  for (let i = 0; i <= 10_000; i++) {
    bench.table.stateFor(parseRequestInfo("GET", `/apis/g/v1/r${i}`), "s");
    await bench.answer(known("1"));
  }
  assert.equal(bench.table.toJSON().floors.length, 10_000);
  assert.equal(bench.table.stateFor(parseRequestInfo("GET", "/apis/g/v1/r0"), "s").kind, "wait");
});

test("floors: an abort ends the retries", async () => {
  const bench = new Bench();
  bench.table.stateFor(pods, "s");
  await bench.answer(new Error("away"));
  bench.stop.abort();
  await bench.clock.advance(60_000);
  assert.equal(bench.reads.length, 1);
  assert.equal(bench.clock.waiting, 0);
});

/** Whether what goes on from the floor itself may pass. */
const isClean = (state: FloorState): boolean =>
  state.kind === "known" && state.floor.untilMoved === undefined;

async function floorOf(bench: Bench, table: FloorTable, resourceVersion = "100"): Promise<FloorState> {
  table.stateFor(pods, "s");
  await bench.answer(known(resourceVersion));
  return table.stateFor(pods, "s");
}

test("floors: under the first view of a pod a floor is clean at once, for nothing older exists", async () => {
  const bench = new Bench();
  const table = FloorTable.ofNewPod(bench.deps);
  table.enter("view a");
  assert.equal(isClean(await floorOf(bench, table)), true);
  assert.deepEqual(table.toJSON(), {
    floors: [{ group: "", resource: "pods", selector: "s", resourceVersion: "100", isClean: true }],
    onceLimited: ["/pods"],
    firstView: "view a",
  });
});

test("floors: from the second view on a floor is dirty, also when the first view comes back", async () => {
  for (const views of [["b"], ["b", "a"]]) {
    const bench = new Bench();
    const table = FloorTable.ofNewPod(bench.deps);
    for (const view of ["a", "a", ...views]) table.enter(view);
    assert.equal(isClean(await floorOf(bench, table)), false);
    assert.equal(table.toJSON().firstView, undefined);
  }
});

test("floors: a clean floor of a resource that the change of the view leaves alone stays clean", async () => {
  const bench = new Bench();
  const table = FloorTable.ofNewPod(bench.deps);
  table.enter("a");
  await floorOf(bench, table);
  table.hold(() => false);
  table.enter("b");
  table.reset(() => false);
  assert.equal(isClean(table.stateFor(pods, "s")), true);
});

test("floors: the proxy's next process goes on with the first view, and knows another one for another", async () => {
  const before = new Bench();
  const table = FloorTable.ofNewPod(before.deps);
  table.enter("a");
  await floorOf(before, table);
  const disk: unknown = JSON.parse(JSON.stringify(table));
  for (const view of ["a", "b"]) {
    const bench = new Bench();
    const restored = FloorTable.fromJSON(disk, bench.deps);
    restored.enter(view);
    assert.equal(isClean(restored.stateFor(pods, "s")), true, "as it was stored");
    restored.hold(isPods);
    restored.reset(isPods);
    assert.equal(isClean(await floorOf(bench, restored)), view === "a");
  }
});

test("floors: a process that finds nothing on the disk of a pod that is not new takes each floor for dirty", async () => {
  const bench = new Bench();
  bench.table.enter("a");
  assert.equal(isClean(await floorOf(bench, bench.table)), false);
});

test("floors: what is stored before the first view is in force does not say that nothing was shown", () => {
  assert.deepEqual(FloorTable.ofNewPod(new Bench().deps).toJSON(), { floors: [] });
});

test("floors: a floor of the view before is not stored while it is held", async () => {
  const bench = new Bench();
  await floorOf(bench, bench.table);
  bench.table.hold(isPods);
  assert.deepEqual(bench.table.toJSON(), { floors: [], onceLimited: ["/pods"] });
});

test("floors: each namespace finds out for itself whether its floor was passed", async () => {
  const bench = new Bench();
  bench.table.stateFor(podsInX, "s");
  await bench.answer({ kind: "forbidden" });
  for (const info of [podsInX, podsInY]) {
    bench.table.stateFor(info, "s");
    await bench.answer(known("100"));
  }
  const state = bench.table.stateFor(podsInX, "s");
  assert.ok(state.kind === "known");
  void state.floor.untilMoved?.();
  await bench.clock.advance(50);
  assert.equal(bench.scopes.at(-1), " v1 pods x");
  await bench.answer(known("102"));
  assert.equal(versionOf(bench.table.stateFor(podsInX, "s")), "101");
  assert.equal(isClean(bench.table.stateFor(podsInX, "s")), true);
  assert.equal(isClean(bench.table.stateFor(podsInY, "s")), false);
});

test("floors: what is no longer limited is held to a dirty floor too", async () => {
  const bench = new Bench();
  const table = FloorTable.ofNewPod(bench.deps);
  table.enter("a");
  await floorOf(bench, table);
  table.hold(isPods);
  table.enter("b");
  table.reset(isPods);
  table.stateForUnlimited(pods);
  await bench.answer(known("100"));
  const state = table.stateForUnlimited(pods);
  assert.equal(state !== undefined && isClean(state), false);
});
