import assert from "node:assert/strict";
import { test } from "node:test";
import { parseManagerState } from "#api/manager-state";
import { MemoryApi } from "#kube/client/memory-api";
import { FakeClock } from "#runtime/fake-clock";
import { type Endpoints, LeadershipTerm, leaderAddress } from "./manager-state.ts";

const { signal } = new AbortController();
const endpoints: Endpoints = {
  namespace: "ctrlmesh",
  replicas: [
    { name: "manager-b", podIP: "10.0.0.2" },
    { name: "manager-a", podIP: "10.0.0.1" },
  ],
  leader: "manager-b",
  controlPort: 8071,
  version: "1.2.3",
  sharding: {
    hash: "murmur3",
    labels: { hash: "example.com/hash", namespace: "example.com/namespace", control: "example.com/control" },
    exemptNamespaces: ["kube-system"],
  },
};

const stored = (api: MemoryApi) => parseManagerState(api.peek("managerstates", "ctrlmesh-manager")).status;
const writes = (api: MemoryApi) => api.calls.filter((call) => /^(create|update|patch)/.test(call)).length;

test("D51: ManagerState is written only when something in it changes, the first status included", async () => {
  const [client, clock] = [new MemoryApi(), new FakeClock()];
  const term = await LeadershipTerm.claim({ client, clock }, 1, signal);
  await term.publish(endpoints, signal);
  assert.deepEqual(stored(client), {
    term: 1,
    namespace: "ctrlmesh",
    endpoints: [
      { name: "manager-a", podIP: "10.0.0.1", leader: false },
      { name: "manager-b", podIP: "10.0.0.2", leader: true },
    ],
    ports: { grpcLeaderElectionPort: 8071, grpcNonLeaderElectionPort: 8071 },
    version: "1.2.3",
    sharding: endpoints.sharding,
    updateTimestamp: "2030-01-01T00:00:00Z",
  });
  const before = writes(client);
  await clock.advance(60_000);
  await term.publish({ ...endpoints, replicas: [...endpoints.replicas].reverse() }, signal);
  assert.equal(writes(client), before);
  await term.publish({ ...endpoints, leader: "manager-a" }, signal);
  assert.equal(writes(client), before + 1);
  assert.equal(stored(client)?.updateTimestamp, "2030-01-01T00:01:00Z");
});

test("LeadershipTerm: grows with each leadership and reaches what the Lease counts", async () => {
  const [client, clock] = [new MemoryApi(), new FakeClock()];
  const first = await LeadershipTerm.claim({ client, clock }, 1, signal);
  const second = await LeadershipTerm.claim({ client, clock }, 1, signal);
  const third = await LeadershipTerm.claim({ client, clock }, 70, signal);
  assert.deepEqual([first.current, second.current, third.current], [1, 2, 70]);
  await third.raise(5, signal);
  assert.equal(third.current, 71);
});

test("LeadershipTerm: the former leader neither publishes nor raises any more", async () => {
  const [client, clock] = [new MemoryApi(), new FakeClock()];
  const former = await LeadershipTerm.claim({ client, clock }, 1, signal);
  const next = await LeadershipTerm.claim({ client, clock }, 1, signal);
  await next.publish(endpoints, signal);
  await assert.rejects(former.publish({ ...endpoints, leader: "manager-a" }, signal), {
    code: "LEADERSHIP_LOST",
  });
  await assert.rejects(former.raise(9, signal), { code: "LEADERSHIP_LOST" });
  assert.equal(stored(client)?.endpoints?.find(({ leader }) => leader)?.name, "manager-b");
});

test("LeadershipTerm: of two that begin at the same moment each gets a number of its own", async () => {
  const [client, clock] = [new MemoryApi(), new FakeClock()];
  const claim = () => LeadershipTerm.claim({ client, clock }, 1, signal);
  const terms = await Promise.all([claim(), claim(), claim()]);
  assert.deepEqual(terms.map(({ current }) => current).sort(), [1, 2, 3]);
});

test("leaderAddress: the leader's address and port, and nothing where there is none", async () => {
  const [client, clock] = [new MemoryApi(), new FakeClock()];
  const term = await LeadershipTerm.claim({ client, clock }, 1, signal);
  const address = () => leaderAddress(client.peek("managerstates", "ctrlmesh-manager"));
  assert.equal(address(), undefined);
  await term.publish(endpoints, signal);
  assert.equal(address(), "10.0.0.2:8071");
  const replicas = [{ name: "manager-b", podIP: "fd00::2" }];
  await term.publish({ ...endpoints, replicas }, signal);
  assert.equal(address(), "[fd00::2]:8071");
  await term.publish({ ...endpoints, leader: "another" }, signal);
  assert.equal(address(), undefined);
  assert.equal(leaderAddress({ status: { endpoints: "many" } }), undefined);
  assert.equal(leaderAddress(undefined), undefined);
});
