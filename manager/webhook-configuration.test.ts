import assert from "node:assert/strict";
import { test } from "node:test";
import { CtrlmeshError } from "#api/errors";
import { defaultShardLabels } from "#api/names";
import { FakeClock } from "#runtime/fake-clock";
import { silentLog } from "#runtime/log";
import { MemoryClient } from "./memory-client.ts";
import { WebhookConfigurationKeeper } from "./webhook-configuration.ts";

const mutating = {
  group: "admissionregistration.k8s.io",
  version: "v1",
  resource: "mutatingwebhookconfigurations",
  namespaced: false,
};

function bench() {
  const client = new MemoryClient();
  const clock = new FakeClock();
  const state = { caBundlePem: "FIRST" };
  const wanted = () => ({
    target: { kind: "url", host: "127.0.0.1", port: 9443 } as const,
    caBundlePem: state.caBundlePem,
    managerNamespace: "ctrlmesh",
    shardLabels: defaultShardLabels,
    kindsToLabel: undefined,
  });
  const stored = () => JSON.stringify(client.peek(mutating.resource, "ctrlmesh-mutating") ?? {});
  return { client, clock, state, stored, deps: { client, clock, log: silentLog, wanted } };
}
const base64 = (text: string) => Buffer.from(text).toString("base64");

test("webhook configurations: both are made, and follow the certificates when woken", async () => {
  const { client, clock, state, stored, deps } = bench();
  await using keeper = new WebhookConfigurationKeeper(deps);
  await clock.whenWaiting();
  assert.ok(stored().includes(base64("FIRST")));
  assert.ok(client.peek("validatingwebhookconfigurations", "ctrlmesh-validating"));
  state.caBundlePem = "SECOND";
  keeper.wake();
  await until(() => stored().includes(base64("SECOND")));
});

test("webhook configurations: one that somebody deletes is back within a minute, one that is right is not written", async () => {
  const { client, clock, stored, deps } = bench();
  await using _keeper = new WebhookConfigurationKeeper(deps);
  await clock.whenWaiting();
  const { writes } = client;
  await clock.advance(60_000);
  await clock.whenWaiting();
  assert.equal(client.writes, writes);
  await client.delete(mutating, { name: "ctrlmesh-mutating" });
  await clock.advance(60_000);
  await clock.whenWaiting();
  assert.ok(stored().includes("mutate-pod"));
});

test("webhook configurations: an API server that is away is tried again", async () => {
  const { client, clock, stored, deps } = bench();
  client.before = () => {
    throw new CtrlmeshError("API_UNREACHABLE", { what: "away" });
  };
  await using _keeper = new WebhookConfigurationKeeper(deps);
  await clock.whenWaiting();
  client.before = () => undefined;
  await clock.advance(60_000);
  await clock.whenWaiting();
  assert.ok(stored().includes("mutate-pod"));
});

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 5000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error("the configuration was not written within 5 s");
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test("webhook configurations: they belong to the manager's ClusterRole, also to one that was made anew", async () => {
  const { client, clock, deps } = bench();
  const roles = { ...mutating, group: "rbac.authorization.k8s.io", resource: "clusterroles" };
  const role = (uid: string) => ({ kind: "ClusterRole", metadata: { name: "ctrlmesh-manager", uid } });
  const owners = () =>
    client.peek(mutating.resource, "ctrlmesh-mutating")?.metadata?.ownerReferences?.map(({ uid }) => uid);
  await client.create(roles, role("first"));
  await using _keeper = new WebhookConfigurationKeeper(deps);
  await clock.whenWaiting();
  assert.deepEqual(owners(), ["first"]);
  await client.delete(roles, { name: "ctrlmesh-manager" });
  await client.create(roles, role("second"));
  await clock.advance(60_000);
  await clock.whenWaiting();
  assert.deepEqual(owners(), ["second"]);
});

test("webhook configurations: a manager that may not see its role writes them all the same", async () => {
  const { client, clock, stored, deps } = bench();
  client.before = (verb, { resource }) => {
    if (verb === "get" && resource === "clusterroles")
      throw new CtrlmeshError("API_FORBIDDEN", { what: "no" });
  };
  await using _keeper = new WebhookConfigurationKeeper(deps);
  await clock.whenWaiting();
  assert.ok(stored().includes("mutate-pod"));
});
