import assert from "node:assert/strict";
import { test } from "node:test";
import { toCtrlmeshError } from "#api/errors";
import { finalizer } from "#api/names";
import { parseOwnershipLedger } from "#api/ownership-ledger";
import { ProxyStream, ShardingWorld } from "./testing-shards.ts";

/** Ends a pod as a kubelet does: its containers are seen terminated, then it is gone. */
async function endPod(world: ShardingWorld, name: string): Promise<void> {
  const pod = world.api.peek("pods", name, "ops") ?? {};
  world.api.put("pods", {
    ...pod,
    metadata: { ...pod.metadata, deletionTimestamp: "2030-01-01T00:01:00Z" },
    status: { containerStatuses: [{ name: "ctrlmesh-proxy", state: { terminated: {} } }] },
  });
  const kind = { group: "", version: "v1", resource: "pods", namespaced: true };
  await world.api.delete(kind, { namespace: "ops", name }, { signal: new AbortController().signal });
}

const deletions = (world: ShardingWorld) => world.api.calls.filter((call) => call.startsWith("delete pods"));

test("D61: pods are granted what their ShardingConfigs say, and the status tells pods, atoms and conditions", async () => {
  await using world = new ShardingWorld();
  world.apply("a", ["x"]);
  world.apply("b", ["y"]);
  const leader = world.lead(1);
  const a = new ProxyStream(world.startPod("a-0", "a"), leader);
  const b = new ProxyStream(world.startPod("b-0", "b"), leader);
  await world.until(
    "grants",
    () => a.standing === "granted namespace=x" && b.standing === "granted namespace=y",
  );
  await world.until("Ready", () => world.condition("a", "Ready") === "True Granted");
  const status = world.status("a");
  assert.equal(status.atoms?.held, "namespaces x");
  assert.equal(status.podsReady, "1/1");
  assert.equal(status.pods?.[0]?.connected, true);
  assert.equal(status.pods?.[0]?.ackedTerm, 1);
  assert.equal(status.coverage?.labelled, true);
  assert.deepEqual(a.last?.unfilteredNamespaces, ["kube-system", "ops"]);
  assert.deepEqual(world.api.peek("shardingconfigs", "a", "ops")?.metadata?.finalizers, [finalizer]);
  assert.deepEqual(
    parseOwnershipLedger(world.ledger).spec.shards.map(({ name, holders }) => [
      name,
      holders.map(({ pod }) => pod),
    ]),
    [
      ["a", ["a-0"]],
      ["b", ["b-0"]],
    ],
  );
});

test("runSharding: a shard is not Ready before its proxy has acknowledged what was just granted", async () => {
  await using world = new ShardingWorld();
  world.apply("a", ["x"]);
  const leader = world.lead(1);
  const a = new ProxyStream(world.startPod("a-0", "a"), leader);
  await world.until("Ready", () => world.condition("a", "Ready") === "True Granted");
  a.answers = "nothing";
  world.apply("a", ["w", "x"]);
  let early = false;
  const look = () => {
    early ||=
      world.status("a").atoms?.held === "namespaces w, x" && world.condition("a", "Ready") === "True Granted";
  };
  world.api.before = look;
  await world.until("the grant", () => a.standing === "granted namespace in (w,x)");
  await world.until("the reason", () => world.condition("a", "Acknowledging") === "True Awaited");
  look();
  assert.equal(early, false);
  a.answers = "accept";
  a.answer();
  await world.until("Ready again", () => world.condition("a", "Ready") === "True Granted");
});

test("runSharding: nothing is written and nothing sent once all is as it should be", async () => {
  await using world = new ShardingWorld();
  world.apply("a", ["x"]);
  const leader = world.lead(1);
  const a = new ProxyStream(world.startPod("a-0", "a"), leader);
  await world.until("Ready", () => world.condition("a", "Ready") === "True Granted");
  await world.clock.advance(2_000);
  const [calls, received] = [world.api.calls.length, a.received.length];
  await world.clock.advance(100_000);
  const later = world.api.calls.slice(calls).filter((call) => !/^(watch|list)/.test(call));
  assert.deepEqual(later, []);
  assert.equal(a.received.length, received);
});

test("runSharding: a grant that could not be stored is not sent", async () => {
  await using world = new ShardingWorld();
  world.apply("a", ["x"]);
  let fails = true;
  world.api.before = (verb, { resource }) => {
    const isWrite = verb === "create" || verb === "update";
    if (fails && isWrite && resource === "ownershipledgers") throw new Error("disk full");
  };
  const leader = world.lead(1);
  const a = new ProxyStream(world.startPod("a-0", "a"), leader);
  await world.until(
    "failed writes",
    () => world.api.calls.filter((c) => c.endsWith("leader.billing")).length > 3,
  );
  assert.equal(a.standing, "nothing");
  fails = false;
  await world.until("the grant", () => a.standing === "granted namespace=x");
});

test("D3: a namespace moves by fence, replaced pods and grant; the gainer waits until the loser's pod is gone", async () => {
  await using world = new ShardingWorld();
  world.apply("a", ["x", "y"]);
  world.apply("b", ["z"]);
  const leader = world.lead(1);
  const a = new ProxyStream(world.startPod("a-0", "a"), leader);
  const b = new ProxyStream(world.startPod("b-0", "b"), leader);
  await world.until("grants", () => a.standing.startsWith("granted") && b.standing.startsWith("granted"));
  a.answers = "nothing";
  world.apply("a", ["x"]);
  world.apply("b", ["y", "z"]);
  await world.until("the fence", () => a.standing === "granted namespace in (x,y) fenced y");
  await world.clock.advance(10_000);
  assert.deepEqual(deletions(world), [], "a pod that has not acknowledged its fence is not deleted");
  a.answers = "accept";
  a.answer();
  // The API server in memory deletes at once; a pod that only seems gone must still be waited for.
  await world.until("the deletion", () => deletions(world).length === 1);
  await world.clock.advance(15_000);
  assert.equal(b.standing, "granted namespace=z");
  await world.until("the gain", () => b.standing === "granted namespace in (y,z)");
  const next = new ProxyStream(world.startPod("a-0", "a"), leader);
  await world.until("the next pod's grant", () => next.standing === "granted namespace=x");
  assert.equal(deletions(world).length, 1);
  assert.ok(world.events.some(({ reason }) => reason === "ReplacingPod"));
});

test("runSharding: a pod seen terminated is gone as soon as it is absent", async () => {
  await using world = new ShardingWorld();
  world.apply("a", ["x"]);
  const leader = world.lead(1);
  const a = new ProxyStream(world.startPod("a-0", "a"), leader);
  await world.until("the grant", () => a.standing.startsWith("granted"));
  a.close();
  await endPod(world, "a-0");
  const before = world.clock.monotonicMs();
  await world.until(
    "the release",
    () => parseOwnershipLedger(world.ledger).spec.shards[0]?.holders.length === 0,
  );
  assert.ok(world.clock.monotonicMs() - before < 2_000);
});

test("D14: a pod that is silent does not keep another from its grant", async () => {
  await using world = new ShardingWorld();
  world.apply("a", ["x"]);
  const leader = world.lead(1);
  world.startPod("a-0", "a");
  const mute = new ProxyStream(world.startPod("a-1", "a"), leader);
  mute.answers = "nothing";
  await world.until("a first grant", () => mute.standing.startsWith("granted"));
  const fresh = new ProxyStream(world.startPod("a-2", "a"), leader);
  await world.until("a second grant", () => fresh.standing === "granted namespace=x");
  await world.until("the reason", () => world.condition("a", "Acknowledging") === "True Awaited");
});

test("D48: a pod that two ShardingConfigs select is refused, and both say so", async () => {
  await using world = new ShardingWorld();
  world.apply("a", ["x"]);
  world.apply("b", ["y"], { selector: { matchLabels: { both: "yes" } } });
  const leader = world.lead(1);
  const a = new ProxyStream(world.startPod("a-0", "a", { labels: { both: "yes" } }), leader);
  await world.until("the refusal", () =>
    a.standing.includes("more than one ShardingConfig selects this pod: a, b"),
  );
  for (const name of ["a", "b"]) {
    await world.until("the condition", () => world.condition(name, "PodConflict") === "True SelectedTwice");
  }
});

test("D54: two shards that claim one namespace say so, and one of them has it", async () => {
  await using world = new ShardingWorld();
  world.apply("a", ["x"]);
  world.apply("b", ["x", "y"]);
  const leader = world.lead(1);
  const a = new ProxyStream(world.startPod("a-0", "a"), leader);
  const b = new ProxyStream(world.startPod("b-0", "b"), leader);
  await world.until(
    "grants",
    () => a.standing === "granted namespace=x" && b.standing === "granted namespace=y",
  );
  await world.until("overlap", () => world.condition("b", "Overlap") === "True ClaimedTwice");
  assert.equal(world.condition("b", "Granted"), "False PartlyPending");
  assert.equal(world.status("b").atoms?.pending, "namespaces x");
  assert.equal(world.condition("b", "Gap"), "True Unclaimed");
});

test("runSharding: limits on a kind whose labels are incomplete wait, what is in force stays", async () => {
  await using world = new ShardingWorld();
  world.apply("a", ["x"]);
  const leader = world.lead(1);
  const a = new ProxyStream(world.startPod("a-0", "a"), leader);
  await world.until("the grant", () => a.standing === "granted namespace=x");
  world.coverage.set("secrets", {
    complete: false,
    remaining: 7,
    stuck: [{ namespace: "x", name: "s", reason: "no" }],
  });
  const limit = (resource: string) => ({
    relateResources: [{ apiGroups: [""], resources: [resource] }],
    selector: { matchLabels: { "ctrlmesh.kusionstack.io/namespace": "x" } },
  });
  world.apply("a", [], { limits: [limit("configmaps"), limit("secrets")] });
  await world.until("progress", () => world.condition("a", "Labelling") === "True ObjectsRefuseLabels");
  assert.equal(world.status("a").coverage?.unlabelledObjects, 7);
  assert.deepEqual(world.status("a").coverage?.stuck, ["secrets x/s: no"]);
  assert.equal(a.standing, "granted namespace=x");
  world.setCoverage("secrets", { complete: true, remaining: 0, stuck: [] });
  // Secrets of other namespaces would vanish before the running operator's eyes: its pod is replaced.
  await world.until("the replacement", () => deletions(world).length === 1);
  const next = new ProxyStream(world.startPod("a-0", "a"), leader);
  await world.until("both limits", () => next.standing === "granted namespace=x namespace=x");
  assert.equal(a.standing, "granted namespace=x");
});

test("runSharding: a selected pod without a proxy holds up all grants of its group", async () => {
  await using world = new ShardingWorld();
  world.apply("a", ["x"]);
  world.apply("b", ["y"]);
  const bypassing = world.startPod("b-7", "b", { injected: false });
  const leader = world.lead(1);
  const a = new ProxyStream(world.startPod("a-0", "a"), leader);
  await world.until("the reason", () => a.standing.startsWith("refused: b-7 run without a proxy"));
  await world.until("the condition", () => world.condition("a", "UninjectedPods") === "True NoProxy");
  await world.until("the count of what nobody owns", () => world.unowned === 2);
  await endPod(world, bypassing.name);
  await world.until("the grant", () => a.standing === "granted namespace=x");
  await world.until("no condition", () => world.condition("a", "UninjectedPods") === undefined);
  await world.until("the count of nothing", () => world.unowned === 0);
});

test("D9: the pods of a ShardingConfig that is deleted are refused everything, not deleted, and hold its atoms", async () => {
  await using world = new ShardingWorld();
  world.apply("a", ["x"]);
  world.apply("b", ["y"]);
  const leader = world.lead(1);
  const a = new ProxyStream(world.startPod("a-0", "a"), leader);
  const b = new ProxyStream(world.startPod("b-0", "b"), leader);
  await world.until("grants", () => a.standing.startsWith("granted") && b.standing.startsWith("granted"));
  a.answers = "nothing";
  const object = world.api.peek("shardingconfigs", "a", "ops") ?? {};
  const metadata = { ...object.metadata, deletionTimestamp: "2030-01-01T00:01:00Z" };
  world.api.put("shardingconfigs", { ...object, metadata });
  world.apply("b", ["x", "y"]);
  await world.until("the refusal", () => a.standing === "refused: ShardingConfig a is being deleted");
  await world.until("the wait", () => world.condition("a", "Deleting") === "True Revoking");
  const finalizers = () => world.api.peek("shardingconfigs", "a", "ops")?.metadata?.finalizers;
  assert.deepEqual(finalizers(), [finalizer]);
  a.answers = "accept";
  a.answer();
  await world.until("the finalizer's end", () => finalizers()?.length === 0);
  await world.clock.advance(60_000);
  assert.deepEqual(deletions(world), []);
  assert.equal(b.standing, "granted namespace=y");
  await endPod(world, "a-0");
  await world.until("the gain", () => b.standing === "granted namespace in (x,y)");
});

test("runSharding: a new leader takes recorded holders as live, and the former one ends at its next write", async () => {
  await using world = new ShardingWorld();
  world.apply("a", ["x"]);
  world.apply("b", ["y"]);
  const former = world.lead(1);
  const a = new ProxyStream(world.startPod("a-0", "a"), former);
  await world.until("the grant", () => a.standing === "granted namespace=x");
  let end: unknown;
  former.ended.catch((thrown: unknown) => {
    end = thrown;
  });
  const next = world.lead(2);
  await world.until("the next term", () => parseOwnershipLedger(world.ledger).spec.term === 2);
  const b = new ProxyStream(world.startPod("b-0", "b"), next);
  await world.until("b's grant", () => b.standing === "granted namespace=y");
  // The pod of a has no stream to the new leader, and still nobody gets what it holds.
  world.apply("a", ["q"]);
  world.apply("b", ["x", "y"]);
  await world.until("the former leader's end", () => end !== undefined);
  assert.equal(toCtrlmeshError(end).code, "LEADERSHIP_LOST");
  await world.until("the condition", () => world.condition("a", "Unreachable") === "True NoStream");
  await world.clock.advance(60_000);
  assert.equal(b.standing, "granted namespace=y");
  assert.deepEqual(deletions(world), []);
  const back = new ProxyStream(a.pod, next, 1n);
  await world.until("the fence", () => back.standing === "granted namespace=x fenced x");
  await world.clock.advance(15_000);
  await world.until("the move", () => b.standing === "granted namespace in (x,y)");
});

test("runSharding: a proxy that has seen a higher term makes the leader raise its own", async () => {
  await using world = new ShardingWorld();
  world.apply("a", ["x"]);
  const leader = world.lead(1);
  const a = new ProxyStream(world.startPod("a-0", "a"), leader, 41n);
  await world.until(
    "a grant above it",
    () => a.last?.id?.term === 42n && a.standing === "granted namespace=x",
  );
  assert.equal(parseOwnershipLedger(world.ledger).spec.term, 42);
});

test("runSharding: a term that cannot be is not followed", async () => {
  await using world = new ShardingWorld();
  world.apply("a", ["x"]);
  const leader = world.lead(1);
  const a = new ProxyStream(world.startPod("a-0", "a"), leader, 2n ** 63n);
  await world.until("a grant all the same", () => a.standing === "granted namespace=x");
  assert.equal(a.last?.id?.term, 1n);
});

test("runSharding: by a corrupt ledger nothing is granted or sent, until it is corrected", async () => {
  await using world = new ShardingWorld();
  world.apply("a", ["x"]);
  const metadata = { name: "leader.billing", namespace: "ops" };
  const spec = { group: "leader.billing", hash: "murmur3", term: 1, epoch: 1, atoms: [], shards: [] };
  const atom = { atom: "bucket/1", shard: "ghost", state: "Held", epoch: 1 };
  world.api.put("ownershipledgers", { metadata, spec: { ...spec, atoms: [atom] } });
  const leader = world.lead(1);
  const a = new ProxyStream(world.startPod("a-0", "a"), leader);
  await world.until("the condition", () => world.condition("a", "LedgerCorrupt") === "True Unusable");
  assert.equal(a.standing, "nothing");
  assert.ok(world.events.some(({ reason }) => reason === "LedgerCorrupt"));
  world.api.put("ownershipledgers", { metadata, spec });
  await world.clock.advance(20_000);
  await world.until("the grant", () => a.standing === "granted namespace=x");
});

test("runSharding: a ledger that another hand removed is written again as it was", async () => {
  await using world = new ShardingWorld();
  world.apply("a", ["x"]);
  const leader = world.lead(1);
  const a = new ProxyStream(world.startPod("a-0", "a"), leader);
  await world.until("the grant", () => a.standing === "granted namespace=x");
  const kind = { group: "", version: "v1", resource: "ownershipledgers", namespaced: true };
  const name = { namespace: "ops", name: "leader.billing" };
  await world.api.delete(kind, name, { signal: new AbortController().signal });
  const second = new ProxyStream(world.startPod("a-1", "a"), leader);
  await world.until("the second grant", () => second.standing === "granted namespace=x");
  const [shard] = parseOwnershipLedger(world.ledger).spec.shards;
  assert.deepEqual(
    shard?.holders.map(({ pod }) => pod),
    ["a-0", "a-1"],
  );
});

test("runSharding: a spec that can't be read changes nothing that is in force, and says so", async () => {
  await using world = new ShardingWorld();
  world.apply("a", ["x"]);
  world.apply("b", ["y"]);
  const leader = world.lead(1);
  const a = new ProxyStream(world.startPod("a-0", "a"), leader);
  await world.until("the grant", () => a.standing === "granted namespace=x");
  world.apply("a", ["x"], { onLoss: "Sometimes" });
  world.apply("b", ["x", "y"]);
  await world.until(
    "the condition",
    () => world.api.peek("shardingconfigs", "a", "ops")?.status !== undefined,
  );
  const conditions = () => JSON.stringify(world.api.peek("shardingconfigs", "a", "ops")?.status);
  await world.until("ParseError", () => conditions().includes("ParseError"));
  await world.clock.advance(30_000);
  assert.equal(a.standing, "granted namespace=x");
  assert.deepEqual(deletions(world), []);
});

test("runSharding: a lock's name that is added later leaves the group's ledger and grants as they are", async () => {
  await using world = new ShardingWorld();
  world.apply("a", ["x"], { controller: undefined });
  const leader = world.lead(1);
  const a = new ProxyStream(world.startPod("a-0", "a"), leader);
  await world.until("the grant", () => a.standing === "granted namespace=x");
  world.apply("a", ["x", "y"]);
  await world.until("the gain", () => a.standing === "granted namespace in (x,y)");
  assert.equal(world.ledger, undefined);
  assert.notEqual(world.api.peek("ownershipledgers", "config.a", "ops"), undefined);
  assert.deepEqual(deletions(world), []);
});
