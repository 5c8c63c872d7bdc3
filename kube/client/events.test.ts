import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubernetesObject } from "#api/meta";
import { FakeClock } from "#runtime/fake-clock";
import { silentLog as log } from "#runtime/log";
import { EventRecorder, eventKind } from "./events.ts";
import { eventually } from "./eventually.ts";
import { MemoryApi, refusal } from "./memory-api.ts";

const signal = AbortSignal.timeout(20_000);
const config: KubernetesObject = {
  apiVersion: "ctrlmesh.kusionstack.io/v1alpha1",
  kind: "ShardingConfig",
  metadata: { name: "s1", namespace: "team", uid: "u1" },
};
const note = (text: string) => ({ type: "Warning", reason: "Waiting", action: "Grant", note: text }) as const;

function recorder(api: MemoryApi) {
  const clock = new FakeClock();
  const stop = new AbortController();
  const deps = {
    client: api,
    clock,
    log,
    random: () => 0.5,
    controller: "ctrlmesh.io/manager",
    instance: "pod-0",
  };
  const events = new EventRecorder({ ...deps, signal: stop.signal });
  return {
    events,
    clock,
    stored: async () => (await api.list(eventKind, {}, { signal })).items,
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await events.ended();
    },
  };
}

test("events: one is written with what the API asks for", async () => {
  const api = new MemoryApi();
  await using world = recorder(api);
  world.events.record(config, note("s0 still holds bucket 3"));
  await eventually(() => api.calls.some((call) => call.startsWith("create events")), "the event");
  const [event] = await world.stored();
  assert.equal(event?.note, "s0 still holds bucket 3");
  assert.equal(event?.reportingController, "ctrlmesh.io/manager");
  assert.equal(event?.eventTime, "2030-01-01T00:00:00.000000Z");
  assert.deepEqual(event?.regarding, {
    apiVersion: "ctrlmesh.kusionstack.io/v1alpha1",
    kind: "ShardingConfig",
    name: "s1",
    namespace: "team",
    uid: "u1",
  });
});

test("events: repetitions within six minutes become one series, written at most once a minute", async () => {
  const api = new MemoryApi();
  await using world = recorder(api);
  world.events.record(config, note("first"));
  await eventually(() => api.calls.length === 1, "the event");
  for (let n = 0; n < 50; n++) world.events.record(config, note(`again ${n}`));
  await world.clock.advance(59_000);
  assert.equal(api.calls.length, 1);
  await world.clock.advance(1_000);
  await eventually(() => api.calls.length === 2, "the series");
  const [event, ...others] = await world.stored();
  assert.deepEqual(others, []);
  assert.equal(event?.note, "again 49");
  assert.deepEqual(event?.series, { count: 51, lastObservedTime: "2030-01-01T00:00:00.000000Z" });
});

test("events: a server that is away is tried again, one that refuses is left alone", async () => {
  const api = new MemoryApi();
  await using world = recorder(api);
  let failures = 1;
  api.before = (verb) => {
    if (verb === "create" && failures-- > 0) throw refusal(500, "InternalError");
  };
  world.events.record(config, note("x"));
  await eventually(() => world.clock.nextDueInMs !== undefined, "the repetition");
  await world.clock.advance(2_000);
  await eventually(
    () => api.calls.filter((call) => call.startsWith("create")).length === 2,
    "the second try",
  );
  api.before = () => {
    throw refusal(403, "Forbidden", "namespace is being terminated");
  };
  world.events.record(config, { ...note("y"), reason: "Other" });
  await eventually(() => api.calls.length >= 3, "the refused one");
  assert.equal(world.clock.waiting, 0);
});

test("events: a note longer than 1024 bytes is cut between characters", async () => {
  const api = new MemoryApi();
  await using world = recorder(api);
  world.events.record(config, note("ä".repeat(2000)));
  await eventually(() => api.calls.length === 1, "the event");
  const [event] = await world.stored();
  const bytes = Buffer.byteLength(String(event?.note));
  assert.ok(bytes <= 1024 && bytes > 1000, `${bytes} bytes`);
  assert.equal(String(event?.note).includes("\uFFFD"), false);
});
