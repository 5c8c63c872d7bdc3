import assert from "node:assert/strict";
import { test } from "node:test";
import { CtrlmeshError } from "#api/errors";
import { FakeClock } from "#runtime/fake-clock";
import { silentLog as log } from "#runtime/log";
import type { KubeClient } from "./client.ts";
import { eventually } from "./eventually.ts";
import { electionIdentity, runElection } from "./lease-election.ts";
import { leaseSpecOf } from "./lease-spec.ts";
import { MemoryApi } from "./memory-api.ts";

const lease = { namespace: "ns", name: "lock" };

/** A candidate with a clock of its own: machines agree on nothing but the length of a second. */
function candidate(identity: string, client: KubeClient, clock: FakeClock) {
  const stop = new AbortController();
  const state = {
    leading: false,
    term: 0,
    holders: [] as string[],
    aborts: 0,
    hold: Promise.withResolvers<void>(),
  };
  const ended = runElection(
    {
      lease,
      identity,
      signal: stop.signal,
      onHolder: (holder) => state.holders.push(holder),
      onLeading: async (signal, term) => {
        Object.assign(state, { leading: true, term });
        await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
        state.aborts += 1;
        await state.hold.promise;
        state.leading = false;
      },
    },
    { client, clock, log, random: () => 0 },
  );
  state.hold.resolve();
  return { state, stop, ended };
}

/** The same server behind a wire that the test cuts. */
function cuttable(api: MemoryApi, wire: { isCut: boolean }): KubeClient {
  const check = () => {
    if (wire.isCut) throw new CtrlmeshError("API_UNREACHABLE", { what: "the wire is cut" });
  };
  return {
    get: async (kind, name, options) => {
      check();
      return await api.get(kind, name, options);
    },
    update: async (kind, object, options) => {
      check();
      return await api.update(kind, object, options);
    },
    create: (kind, object, options) => api.create(kind, object, options),
    list: (kind, query, options) => api.list(kind, query, options),
    patch: (kind, name, patch, options) => api.patch(kind, name, patch, options),
    delete: (kind, name, options) => api.delete(kind, name, options),
    raw: (method, path, body, options) => api.raw(method, path, body, options),
    watch: (kind, query, options) => api.watch(kind, query, options),
  };
}

const spec = (api: MemoryApi) => leaseSpecOf(api.peek("leases", "lock", "ns") ?? {});

async function advance(ms: number, ...clocks: FakeClock[]): Promise<void> {
  for (let passed = 0; passed < ms; passed += 500) {
    for (const clock of clocks) await clock.advance(500);
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
}

test("lease election: the second candidate waits while the first one renews, however wrong its wall clock is", async () => {
  const api = new MemoryApi();
  const clocks = [new FakeClock(), new FakeClock(Date.UTC(2040, 0, 1))] as const;
  const a = candidate("a", api, clocks[0]);
  await eventually(() => a.state.leading, "a to lead");
  const b = candidate("b", api, clocks[1]);
  await advance(60_000, ...clocks);
  assert.deepEqual([a.state.leading, b.state.leading, spec(api).holderIdentity], [true, false, "a"]);
  a.stop.abort();
  b.stop.abort();
  await Promise.all([a.ended, b.ended]);
});

test("lease election: a graceful end gives the lease back, and the next term is greater", async () => {
  const api = new MemoryApi();
  const clocks = [new FakeClock(), new FakeClock()] as const;
  const a = candidate("a", api, clocks[0]);
  await eventually(() => a.state.leading, "a to lead");
  const b = candidate("b", api, clocks[1]);
  await advance(4_000, ...clocks);
  a.stop.abort();
  await a.ended;
  assert.equal(spec(api).holderIdentity, "");
  await advance(3_000, ...clocks);
  assert.equal(b.state.leading, true);
  assert.ok(b.state.term > a.state.term);
  assert.deepEqual(b.state.holders, ["a", "", "b"]);
  b.stop.abort();
  await b.ended;
});

test("lease election: a leader cut off from the server stops before another can lead", async () => {
  const api = new MemoryApi();
  const clocks = [new FakeClock(), new FakeClock()] as const;
  const wire = { isCut: false };
  const a = candidate("a", cuttable(api, wire), clocks[0]);
  await eventually(() => a.state.leading, "a to lead");
  const b = candidate("b", api, clocks[1]);
  await advance(5_000, ...clocks);
  wire.isCut = true;
  let cutForMs = 0;
  for (; !b.state.leading && cutForMs < 60_000; cutForMs += 500) {
    await advance(500, ...clocks);
    assert.ok(!(a.state.leading && b.state.leading), `two leaders ${cutForMs} ms after the cut`);
  }
  assert.equal(a.state.aborts, 1);
  assert.ok(b.state.leading && cutForMs >= 12_000 && cutForMs <= 20_000, `b led after ${cutForMs} ms`);
  wire.isCut = false;
  await advance(10_000, ...clocks);
  assert.deepEqual([a.state.leading, b.state.leading], [false, true]);
  assert.ok(b.state.term > a.state.term);
  a.stop.abort();
  b.stop.abort();
  await Promise.all([a.ended, b.ended]);
});

test("lease election: a leader whose lease was taken by another stops at its next renewal", async () => {
  const api = new MemoryApi();
  const clock = new FakeClock();
  const a = candidate("a", api, clock);
  await eventually(() => a.state.leading, "a to lead");
  const stored = api.peek("leases", "lock", "ns") ?? {};
  api.put("leases", {
    ...stored,
    spec: { holderIdentity: "thief", leaseDurationSeconds: 15, leaseTransitions: 7 },
  });
  await advance(2_500, clock);
  assert.equal(a.state.aborts, 1);
  await advance(14_000, clock);
  assert.equal(a.state.leading, false, "the thief's time is not over");
  await advance(5_000, clock);
  assert.equal(a.state.leading, true);
  a.stop.abort();
  await a.ended;
});

test("lease election: during a slow shutdown the lease is still renewed", async () => {
  const api = new MemoryApi();
  const clocks = [new FakeClock(), new FakeClock()] as const;
  const a = candidate("a", api, clocks[0]);
  a.state.hold = Promise.withResolvers();
  await eventually(() => a.state.leading, "a to lead");
  const b = candidate("b", api, clocks[1]);
  a.stop.abort();
  await advance(40_000, ...clocks);
  assert.deepEqual([a.state.leading, b.state.leading], [true, false]);
  a.state.hold.resolve();
  await a.ended;
  await advance(3_000, ...clocks);
  assert.equal(b.state.leading, true);
  b.stop.abort();
  await b.ended;
});

test("lease election: a deleted lease ends the leadership, and the term still grows", async () => {
  const api = new MemoryApi();
  const clock = new FakeClock();
  const a = candidate("a", api, clock);
  await eventually(() => a.state.leading, "a to lead");
  const term = a.state.term;
  await api.delete({ group: "", version: "", resource: "leases", namespaced: true }, lease, {
    signal: AbortSignal.timeout(5000),
  });
  await advance(6_000, clock);
  assert.equal(a.state.aborts, 1);
  await eventually(() => a.state.leading, "a to lead again");
  assert.ok(a.state.term > term, `${a.state.term} after ${term}`);
  a.stop.abort();
  await a.ended;
});

test("lease election: identities of two processes of one pod differ", () => {
  assert.notEqual(electionIdentity("pod-0"), electionIdentity("pod-0"));
  assert.match(electionIdentity("pod-0"), /^pod-0_[0-9a-f-]{36}$/);
});
