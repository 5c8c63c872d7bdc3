import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { bucketOf } from "#api/bucket";
import { Grant, type Snapshot } from "#api/gen/ctrlmesh/v1/control_pb";
import { parseSelector, selectorMatches } from "#api/label-selector";
import { defaultShardLabels as labels } from "#api/names";
import { parseShardingConfig, type ShardingConfig } from "#api/sharding-config";
import { compileSnapshot, contentKey, type LedgerSpec } from "../snapshot/compile.ts";
import { emptyLedger, nextStep } from "./handover.ts";
import { planGroup } from "./plan.ts";
import type { PodFacts } from "./pod-facts.ts";

/**
 * A small world: a ledger under compare-and-swap, managers of which one may be left behind with all that it
 * knew, pods whose proxies get snapshots late, a kubelet that ends pods late. What a pod may do is judged by the
 * selectors and the fence of the snapshot that is really in force in it, never by the ledger.
 */

const hash = "murmur3" as const;
const shardNames = ["a", "b", "c"] as const;
const named = ["x", "y", "z"] as const;
/** Two namespaces that no selector names, in buckets of their own. */
const others = ["plain-1", "plain-2"] as const;
const places = [...named, ...others];
const settings = { labels, exemptNamespaces: [] };
const catalog = { resolve: () => [], unfilteredFor: () => [] };
const coverage = { state: () => ({ complete: true, remaining: 0, stuck: [] }) };
const deps = { labels, hash, catalog, coverage };

interface Wish {
  readonly namespaces: readonly string[];
  readonly buckets: readonly number[];
}

interface Pod {
  readonly uid: string;
  readonly name: string;
  readonly shard: string;
  inForce: Snapshot | undefined;
  inForceId: readonly [term: number, revision: number];
  terminating: boolean;
  /** The manager whose stream it has. */
  manager: Manager | undefined;
}

interface Manager {
  readonly term: number;
  revision: number;
  /** Its copy of the ledger, with the resourceVersion. */
  ledger: LedgerSpec;
  version: number;
  readonly queues: Map<string, { readonly id: readonly [number, number]; readonly snapshot: Snapshot }[]>;
  /** The last one; an answer to an earlier one of the same content says nothing about it. */
  readonly sent: Map<string, { readonly key: string; readonly revision: number }>;
  readonly acked: Map<string, { readonly key: string; readonly atMs: number }>;
  readonly absentSince: Map<string, number>;
  readonly lastDeletionMs: Map<string, number>;
}

class World {
  nowMs = 0;
  wishes = new Map<string, Wish>();
  stored: LedgerSpec = emptyLedger("g", hash, 0);
  version = 0;
  pods = new Map<string, Pod>();
  managers: Manager[] = [];
  #uids = 0;

  readonly onLoss: "Restart" | "Relist";

  constructor(onLoss: "Restart" | "Relist") {
    this.onLoss = onLoss;
    this.startManager();
    for (const shard of shardNames) for (const ordinal of [0, 1]) this.startPod(shard, `${shard}-${ordinal}`);
  }

  get leader(): Manager {
    const leader = this.managers.at(-1);
    assert(leader);
    return leader;
  }

  passTime(ms: number): void {
    this.nowMs += ms;
  }

  startManager(): void {
    const term = this.managers.length + 1;
    // Take-over: the term is written into the ledger before anything else.
    this.stored = { ...this.stored, term };
    this.version += 1;
    this.managers.push({
      term,
      revision: 0,
      ledger: this.stored,
      version: this.version,
      queues: new Map(),
      sent: new Map(),
      acked: new Map(),
      absentSince: new Map(),
      lastDeletionMs: new Map(),
    });
  }

  startPod(shard: string, name: string): void {
    const uid = `${name}/${this.#uids++}`;
    const fresh = { inForce: undefined, inForceId: [0, 0] as const, terminating: false, manager: undefined };
    this.pods.set(uid, { uid, name, shard, ...fresh });
  }

  connect(pod: Pod, manager: Manager): void {
    pod.manager?.queues.delete(pod.uid);
    pod.manager = manager;
    manager.queues.set(pod.uid, []);
    manager.sent.delete(pod.uid);
    manager.acked.delete(pod.uid);
  }

  /** The process and its pod are gone; the StatefulSet starts the next one. */
  endPod(pod: Pod): void {
    this.pods.delete(pod.uid);
    this.startPod(pod.shard, pod.name);
  }

  configs(): ShardingConfig[] {
    return [...this.wishes].map(([name, { namespaces, buckets }]) => {
      const limit = (resource: string, key: string, values: readonly string[]) => ({
        relateResources: [{ apiGroups: [""], resources: [resource] }],
        selector: { matchExpressions: [{ key, operator: "In", values }] },
      });
      return parseShardingConfig({
        metadata: { name, namespace: "ops" },
        spec: {
          selector: { matchLabels: { app: name } },
          limits: [
            ...(namespaces.length > 0 ? [limit("configmaps", labels.namespace, namespaces)] : []),
            ...(buckets.length > 0 ? [limit("secrets", labels.hash, buckets.map(String))] : []),
          ],
          onLoss: this.onLoss,
          handover: { settleSeconds: 5 },
        },
      });
    });
  }

  snapshotOf(ledger: LedgerSpec, { uid, shard }: { uid: string; shard: string }): Snapshot {
    return compileSnapshot(ledger, { uid, shard, namespace: "ops" }, settings, "waiting");
  }

  /** One reconcile of a manager; a lost compare-and-swap makes it read again, or end when its term is over. */
  reconcile(manager: Manager): void {
    const ledger = manager.ledger;
    const plan = planGroup({ name: "g", configs: this.configs(), leaving: [], ledger, blockers: [] }, deps);
    const facts = { nowMs: this.nowMs, pods: this.factsFor(manager), lastDeletionMs: manager.lastDeletionMs };
    const step = nextStep(ledger, plan, facts);
    if (step.changed) {
      assert(step.ledger.epoch >= ledger.epoch, "epochs only grow");
      for (const atom of step.ledger.atoms) {
        const before = ledger.atoms.find((each) => each.atom === atom.atom);
        assert(atom.epoch >= (before?.epoch ?? 0), `epoch of ${atom.atom} shrank`);
        if (before?.state === "Free" && atom.state === "Held") assert(atom.epoch > before.epoch);
      }
      if (manager.version !== this.version) {
        assert(this.stored.term > manager.term, "only a stale leader loses a compare-and-swap");
        return;
      }
      this.stored = step.ledger;
      this.version += 1;
      Object.assign(manager, { ledger: step.ledger, version: this.version });
    }
    for (const pod of this.pods.values()) if (pod.manager === manager) this.send(manager, pod);
    for (const { uid, shard } of step.deletions) {
      manager.lastDeletionMs.set(shard, this.nowMs);
      const pod = this.pods.get(uid);
      if (pod !== undefined) pod.terminating = true;
    }
  }

  send(manager: Manager, pod: Pod): void {
    const snapshot = this.snapshotOf(manager.ledger, pod);
    const key = contentKey(snapshot);
    if (manager.sent.get(pod.uid)?.key === key) return;
    manager.revision += 1;
    manager.sent.set(pod.uid, { key, revision: manager.revision });
    manager.acked.delete(pod.uid);
    manager.queues.get(pod.uid)?.push({ id: [manager.term, manager.revision], snapshot });
  }

  /** The proxy takes one snapshot, or refuses an older one, and its answer arrives. */
  deliver(pod: Pod): void {
    const manager = pod.manager;
    const next = manager?.queues.get(pod.uid)?.shift();
    if (manager === undefined || next === undefined) return;
    const [term, revision] = next.id;
    const [ownTerm, ownRevision] = pod.inForceId;
    if (term < ownTerm || (term === ownTerm && revision <= ownRevision)) return;
    const before = places.filter((place) => sees(pod, place));
    pod.inForce = next.snapshot;
    // A running operator would take what vanishes for deleted. Without a ShardingConfig it sees errors instead.
    if (this.onLoss === "Restart" && next.snapshot.grant === Grant.GRANTED) {
      for (const place of before) {
        const seesOn = sees(pod, place);
        assert(seesOn, `${pod.uid} sees ${place} vanish\n${describe(this)}`);
      }
    }
    pod.inForceId = next.id;
    const key = contentKey(next.snapshot);
    if (manager.sent.get(pod.uid)?.revision === revision)
      manager.acked.set(pod.uid, { key, atMs: this.nowMs });
  }

  factsFor(manager: Manager): Map<string, PodFacts> {
    const facts = new Map<string, PodFacts>();
    const recorded = manager.ledger.shards.flatMap(({ name, holders }) =>
      holders.map(({ uid, pod }) => ({ uid, pod, shard: name })),
    );
    const known = [...this.pods.values()].map(({ uid, name, shard }) => ({ uid, pod: name, shard }));
    for (const { uid, pod: name, shard } of [...recorded, ...known]) {
      const pod = this.pods.get(uid);
      if (pod === undefined && !manager.absentSince.has(uid)) manager.absentSince.set(uid, this.nowMs);
      const connected = pod?.manager === manager;
      const acked = connected ? manager.acked.get(uid) : undefined;
      const acknowledged = acked?.key === contentKey(this.snapshotOf(manager.ledger, { uid, shard }));
      facts.set(uid, {
        uid,
        pod: name,
        shard,
        refusal: undefined,
        connected,
        acknowledged,
        nack: undefined,
        quietSinceMs: acknowledged ? acked?.atMs : undefined,
        ready: pod?.inForce?.grant === Grant.GRANTED,
        unbound: false,
        terminating: pod?.terminating ?? false,
        terminatedSeen: false,
        absentSinceMs: pod === undefined ? manager.absentSince.get(uid) : undefined,
      });
    }
    return facts;
  }

  /** No object is in the cache of one shard's operator while another shard may act on it. */
  check(): void {
    for (const place of places) {
      const seeing = [...this.pods.values()].filter((pod) => sees(pod, place));
      const acting = seeing.filter((pod) => !isFenced(pod, place));
      for (const { uid, shard } of acting) {
        const rival = seeing.find((pod) => pod.shard !== shard);
        assert(rival === undefined, `${uid} acts on ${place}, which ${rival?.uid} still sees`);
      }
    }
  }
}

function sees({ inForce }: Pod, namespace: string): boolean {
  if (inForce?.grant !== Grant.GRANTED) return false;
  const object = { [labels.hash]: String(bucketOf(namespace, hash)), [labels.namespace]: namespace };
  return inForce.limits.some(({ selector }) => selectorMatches(parseSelector(selector), object));
}

function isFenced({ inForce }: Pod, namespace: string): boolean {
  const fence = inForce?.fence;
  if (fence === undefined) return false;
  const byBucket =
    fence.buckets.includes(bucketOf(namespace, hash)) && !fence.exceptNamespaces.includes(namespace);
  return byBucket || fence.namespaces.includes(namespace);
}

type Action = (world: World) => void;

function podAt(world: World, index: number): Pod | undefined {
  const pods = [...world.pods.values()];
  return pods[index % pods.length];
}

const index = fc.nat({ max: 30 });
const bucketNumbers = [...new Set(places.map((place) => bucketOf(place, hash)))];
const wish = fc.record({
  shard: fc.constantFrom(...shardNames),
  namespaces: fc.subarray([...named]),
  buckets: fc.subarray(bucketNumbers),
});

const someShard = fc.constantFrom(...shardNames);
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 6,
    arbitrary: wish.map(
      ({ shard, ...rest }) =>
        (w: World) =>
          setWish(w, shard, rest),
    ),
  },
  { weight: 1, arbitrary: someShard.map((shard) => (w: World) => void w.wishes.delete(shard)) },
  { weight: 6, arbitrary: fc.constant((w: World) => w.reconcile(w.leader)) },
  { weight: 2, arbitrary: index.map((i) => (w: World) => reconcileStale(w, i)) },
  { weight: 9, arbitrary: index.map((i) => (w: World) => withPod(w, i, (pod) => w.deliver(pod))) },
  { weight: 6, arbitrary: fc.nat().map((mask) => (w: World) => exchange(w, mask)) },
  { weight: 2, arbitrary: index.map((i) => (w: World) => withPod(w, i, (pod) => w.connect(pod, w.leader))) },
  { weight: 1, arbitrary: index.map((i) => (w: World) => withPod(w, i, (pod) => w.endPod(pod))) },
  { weight: 3, arbitrary: fc.constant(endOneTerminating) },
  { weight: 3, arbitrary: fc.integer({ min: 1, max: 30_000 }).map((ms) => (w: World) => w.passTime(ms)) },
  { weight: 1, arbitrary: fc.constant((w: World) => w.startManager()) },
);

/** A reconcile after which some pods get all that was sent to them and the others nothing. */
function exchange(world: World, mask: number): void {
  world.reconcile(world.leader);
  for (const [at, pod] of [...world.pods.values()].entries()) {
    if (((mask >> at) & 1) === 0) continue;
    if (pod.manager !== world.leader) world.connect(pod, world.leader);
    while ((pod.manager?.queues.get(pod.uid)?.length ?? 0) > 0) world.deliver(pod);
  }
}

function setWish(world: World, shard: string, next: Wish): void {
  if (next.namespaces.length + next.buckets.length > 0) world.wishes.set(shard, next);
}

function withPod(world: World, at: number, use: (pod: Pod) => void): void {
  const pod = podAt(world, at);
  if (pod !== undefined) use(pod);
}

/** A leader that was stopped goes on with what it knew. */
function reconcileStale(world: World, at: number): void {
  const manager = world.managers[at % world.managers.length];
  if (manager !== undefined) world.reconcile(manager);
}

function endOneTerminating(world: World): void {
  const pod = [...world.pods.values()].find(({ terminating }) => terminating);
  if (pod !== undefined) world.endPod(pod);
}

function settle(world: World): void {
  // Pods without a ShardingConfig are not ours to delete: what they had is released when their user ends them.
  for (const pod of [...world.pods.values()]) if (!world.wishes.has(pod.shard)) world.endPod(pod);
  for (let round = 0; round < 60; round++) {
    for (const pod of [...world.pods.values()]) {
      if (pod.terminating) world.endPod(pod);
      else if (pod.manager !== world.leader) world.connect(pod, world.leader);
    }
    world.reconcile(world.leader);
    for (const pod of world.pods.values()) {
      while ((world.leader.queues.get(pod.uid)?.length ?? 0) > 0) world.deliver(pod);
    }
    world.check();
    world.nowMs += 10_000;
  }
}

function describe({ stored, wishes, pods }: World): string {
  const states = stored.atoms.flatMap(({ atom, state, shard }) =>
    atom.startsWith("namespace/") || bucketNumbers.some((bucket) => atom === `bucket/${bucket}`)
      ? [`${atom} ${state} ${shard}`]
      : [],
  );
  const running = [...pods.values()].map(({ uid, inForce, terminating }) => ({
    uid,
    terminating,
    limits: inForce?.limits.map(({ selector }) => selector),
    reason: inForce?.grantReason,
  }));
  return JSON.stringify({ wishes: [...wishes], states, shards: stored.shards, running }, undefined, 1);
}

for (const onLoss of ["Restart", "Relist"] as const) {
  test(`nextStep: onLoss ${onLoss}, no object is seen by one shard and acted on by another, whatever happens`, () => {
    fc.assert(
      fc.property(fc.array(action, { minLength: 40, maxLength: 300 }), (actions) => {
        const world = new World(onLoss);
        for (const act of actions) {
          act(world);
          world.check();
        }
      }),
      { numRuns: 600 },
    );
  });
}

/** Which shard claims each place at the end; "none" is a gap. */
const partition = fc.array(fc.constantFrom(...shardNames, "none" as const), {
  minLength: places.length,
  maxLength: places.length,
});
const policy = fc.constantFrom("Restart" as const, "Relist" as const);

test("nextStep: when specs agree and nothing more happens, the one shard that claims an object sees it", () => {
  const actions = fc.array(action, { minLength: 20, maxLength: 150 });
  fc.assert(
    fc.property(actions, partition, policy, (history, owners, onLoss) => {
      const world = new World(onLoss);
      for (const act of history) act(world);
      const ownerOf = new Map(places.map((place, at) => [place, owners[at]]));
      world.wishes.clear();
      for (const shard of shardNames) {
        const own = (place: (typeof places)[number]) => ownerOf.get(place) === shard;
        const buckets = others.filter(own).map((place) => bucketOf(place, hash));
        setWish(world, shard, { namespaces: named.filter(own), buckets });
      }
      settle(world);
      for (const [place, owner] of ownerOf) {
        const seeing = [...world.pods.values()].filter((pod) => sees(pod, place)).map(({ shard }) => shard);
        const expected = owner === "none" ? [] : [owner, owner];
        assert.deepEqual(seeing, expected, `${place}\n${describe(world)}`);
      }
    }),
    { numRuns: 100 },
  );
});
