import assert from "node:assert/strict";
import { test } from "node:test";
import { containers, labels, proxyPaths } from "#api/names";
import { observePod } from "./pod-classes.ts";
import { goneInMs, isGone, type PodFacts } from "./pod-facts.ts";

const facts: PodFacts = {
  uid: "u",
  pod: "a-0",
  shard: "a",
  refusal: undefined,
  connected: false,
  acknowledged: false,
  nack: undefined,
  quietSinceMs: undefined,
  ready: false,
  unbound: false,
  terminating: false,
  terminatedSeen: false,
  absentSinceMs: undefined,
};

test("isGone: only an absent UID, and only when it was seen terminated or its token has lapsed", () => {
  const cases: readonly (readonly [string, boolean, Partial<PodFacts>, number])[] = [
    ["seen and running", false, {}, 1e9],
    ["only terminating", false, { terminating: true }, 1e9],
    ["terminated and still there", false, { terminatedSeen: true }, 1e9],
    ["absent, terminated before", true, { terminatedSeen: true, absentSinceMs: 0 }, 0],
    ["absent for less than 20 s", false, { absentSinceMs: 1000 }, 20_999],
    ["absent for 20 s", true, { absentSinceMs: 1000 }, 21_000],
  ];
  for (const [what, expected, changes, nowMs] of cases) {
    assert.equal(isGone({}, { ...facts, ...changes }, nowMs), expected, what);
  }
  assert.equal(isGone({}, undefined, 1e9), false, "nothing is known of it");
});

test("isGone: a credential that outlives the pod leaves only its seen termination as a proof", () => {
  const absent = { ...facts, absentSinceMs: 0 };
  assert.equal(isGone({ unbound: true }, absent, 1e9), false);
  assert.equal(isGone({ unbound: true }, { ...absent, terminatedSeen: true }, 0), true);
  assert.equal(goneInMs({ unbound: true }, absent, 0), undefined);
  assert.equal(goneInMs({}, absent, 5_000), 15_000);
});

const pod = (status: unknown, changes: { spec?: object; metadata?: object } = {}) =>
  observePod({
    metadata: {
      name: "a-0",
      uid: "u",
      labels: { [labels.shardingConfigInjected]: "a" },
      ...changes.metadata,
    },
    spec: {
      containers: [{ name: "operator" }],
      initContainers: [{ name: containers.proxy }],
      ...changes.spec,
    },
    status,
  });
const terminated = [{ name: "operator", state: { terminated: {} } }];
const proxyTerminated = [{ name: containers.proxy, state: { terminated: {} } }];

test("observePod: terminated only when every container is, the sidecar too, and none can come back", () => {
  const ending = { metadata: { deletionTimestamp: "2030-01-01T00:00:00Z" } };
  const all = { containerStatuses: terminated, initContainerStatuses: proxyTerminated };
  assert.equal(pod(all).terminated, false, "a crash loop starts it again");
  assert.equal(pod(all, ending).terminated, true);
  assert.equal(pod({ ...all, phase: "Failed" }).terminated, true);
  assert.equal(
    pod({ containerStatuses: terminated }, ending).terminated,
    false,
    "nothing is known of the sidecar",
  );
  const running = [{ name: containers.proxy, state: { running: {} } }];
  assert.equal(pod({ ...all, initContainerStatuses: running }, ending).terminated, false);
  assert.equal(pod(undefined, ending).terminated, false);
});

test("observePod: a legacy token in the place of the projected one is an unbound credential", () => {
  const mounts = [{ name: "token", mountPath: proxyPaths.serviceAccountDirectory }];
  const containersOf = [{ name: "operator", volumeMounts: mounts }];
  const secret = { containers: containersOf, volumes: [{ name: "token", secret: { secretName: "legacy" } }] };
  assert.equal(pod({}, { spec: secret }).unbound, true);
  assert.equal(pod({}, { spec: { ...secret, volumes: [{ name: "token", projected: {} }] } }).unbound, false);
});

test("observePod: the label alone makes no injected pod", () => {
  assert.equal(pod({}).isInjected, true);
  assert.equal(pod({}, { spec: { initContainers: [] } }).isInjected, false);
});
