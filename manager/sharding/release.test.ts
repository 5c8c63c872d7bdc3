import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultShardLabels as labels } from "#api/names";
import { parseShardingConfig } from "#api/sharding-config";
import type { LedgerSpec } from "../snapshot/compile.ts";
import { emptyLedger, nextStep, type Step } from "./handover.ts";
import { planGroup } from "./plan.ts";
import type { PodFacts } from "./pod-facts.ts";

const hash = "murmur3" as const;
const deps = {
  labels,
  hash,
  catalog: { resolve: () => [], unfilteredFor: () => [] },
  coverage: { state: () => ({ complete: true, remaining: 0, stuck: [] }) },
};

const configOf = (name: string, namespaces: readonly string[]) =>
  parseShardingConfig({
    metadata: { name, namespace: "ops" },
    spec: {
      selector: { matchLabels: { app: name } },
      limits: [
        {
          relateResources: [{ apiGroups: [""], resources: ["configmaps"] }],
          selector: { matchExpressions: [{ key: labels.namespace, operator: "In", values: namespaces }] },
        },
      ],
    },
  });

/** A pod that has acknowledged what it was sent. */
const podOf = (uid: string, changes: Partial<PodFacts> = {}): PodFacts => ({
  uid,
  pod: uid,
  shard: "a",
  refusal: undefined,
  connected: true,
  acknowledged: true,
  nack: undefined,
  quietSinceMs: 0,
  ready: true,
  unbound: false,
  terminating: false,
  terminatedSeen: false,
  absentSinceMs: undefined,
  ...changes,
});

const pods = ["a-0", "a-1", "a-2"];

interface Facts {
  readonly nowMs?: number;
  readonly pods: readonly PodFacts[];
  readonly lastDeletionMs?: number;
}

function step(ledger: LedgerSpec, configs: ReturnType<typeof configOf>[], facts: Facts): Step {
  const plan = planGroup({ name: "g", configs, leaving: [], ledger, blockers: [] }, deps);
  const { nowMs = 0, lastDeletionMs } = facts;
  return nextStep(ledger, plan, {
    nowMs,
    pods: new Map(facts.pods.map((pod) => [pod.uid, pod])),
    lastDeletionMs: new Map(lastDeletionMs === undefined ? [] : [["a", lastDeletionMs]]),
  });
}

/** The ledger after shard a got both namespaces and has three pods as holders. */
function held(): LedgerSpec {
  let ledger = emptyLedger("g", hash, 1);
  for (let round = 0; round < 4; round++) {
    ledger = step(ledger, [configOf("a", ["x", "y"])], { pods: pods.map((uid) => podOf(uid)) }).ledger;
  }
  assert.deepEqual(
    ledger.shards.map(({ name, holders }) => [name, holders.length]),
    [["a", 3]],
  );
  return ledger;
}

test("D9: pods whose ShardingConfig is gone, or seems so for a moment, are not deleted", () => {
  let ledger = held();
  for (let round = 0; round < 5; round++) {
    const next = step(ledger, [configOf("b", ["z"])], { pods: pods.map((uid) => podOf(uid)) });
    assert.deepEqual(next.deletions, []);
    ledger = next.ledger;
  }
});

test("D10: every pod that must go is deleted, one after another as each is replaced", () => {
  let ledger = held();
  const running = new Map(pods.map((uid) => [uid, podOf(uid)]));
  const deleted: string[] = [];
  for (let nowMs = 0; nowMs < 600_000; nowMs += 30_000) {
    const next = step(ledger, [configOf("a", ["x"])], { nowMs, pods: [...running.values()] });
    ledger = next.ledger;
    assert.ok(next.deletions.length <= 1);
    for (const { uid } of next.deletions) {
      deleted.push(uid);
      // The pod ends at once, and its successor is ready before the next look.
      running.set(uid, podOf(uid, { absentSinceMs: nowMs, terminatedSeen: true, ready: false }));
      running.set(`${uid}'`, podOf(`${uid}'`));
    }
  }
  assert.deepEqual(deleted.sort(), pods);
});

test("D3: the pods of a shard that loses objects are deleted one at a time, and only once all are fenced", () => {
  const { ledger } = step(held(), [configOf("a", ["x"])], { pods: pods.map((uid) => podOf(uid)) });
  const unfenced = pods.map((uid) => podOf(uid, uid === "a-1" ? { acknowledged: false } : {}));
  assert.deepEqual(step(ledger, [configOf("a", ["x"])], { pods: unfenced }).deletions, []);
  const fenced = pods.map((uid) => podOf(uid));
  assert.equal(step(ledger, [configOf("a", ["x"])], { pods: fenced }).deletions.length, 1);
  const replacing = [...fenced.slice(0, 2), podOf("a-2", { terminating: true })];
  assert.deepEqual(step(ledger, [configOf("a", ["x"])], { pods: replacing }).deletions, []);
});
