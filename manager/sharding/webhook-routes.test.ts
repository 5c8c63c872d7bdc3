import assert from "node:assert/strict";
import { test } from "node:test";
import type { WebhookRoutes } from "#api/gen/ctrlmesh/v1/control_pb";
import { ProxyStream, ShardingWorld } from "./testing-shards.ts";

const webhook = { webhook: { certDir: "/certs", port: 9443 } };

function print(routes: WebhookRoutes | undefined): string[] {
  return (routes?.shards ?? []).map(({ name, namespaces, endpoints }) =>
    `${name}: ${namespaces.join()} at ${endpoints.map(({ pod, address }) => `${pod} ${address}`).join()}`.trim(),
  );
}

test("webhook routes: pods that relay learn who answers for what, and of each pod that comes and goes", async () => {
  await using world = new ShardingWorld();
  world.apply("a", ["x"], webhook);
  world.apply("b", ["y"], webhook);
  const leader = world.lead(1);
  const [pod, other] = [
    world.startPod("a-0", "a", { relays: true }),
    world.startPod("b-0", "b", { relays: true }),
  ];
  const stream = new ProxyStream(pod, leader, 0n, true);
  const otherStream = new ProxyStream(other, leader, 0n, true);
  const expected = ["a: x at a-0 10.0.0.1", "b: y at b-0 10.0.0.1"];
  await world.until(
    "both namespaces have their pods",
    () => print(stream.webhookRoutes.at(-1)).join() === expected.join(),
  );
  assert.deepEqual(print(otherStream.webhookRoutes.at(-1)), expected);
  assert.deepEqual(stream.webhookRoutes.at(-1)?.unshardedNamespaces, ["kube-system", "ops"]);
  assert.equal(stream.webhookRoutes.at(-1)?.relayKey.length, 32);
  const snapshots = stream.received.length;
  world.setReady("b-0", false);
  await world.until(
    "the pod that is not ready is left out",
    () => print(stream.webhookRoutes.at(-1))[1] === "b: y at",
  );
  assert.equal(stream.received.length, snapshots, "no new view because of it");
});

test("webhook routes: pods without a relay are sent to by nobody, and get nothing themselves", async () => {
  await using world = new ShardingWorld();
  world.apply("a", ["x"], webhook);
  world.apply("b", ["y"]);
  const leader = world.lead(1);
  const stream = new ProxyStream(world.startPod("a-0", "a", { relays: true }), leader, 0n, true);
  const older = new ProxyStream(world.startPod("a-1", "a"), leader);
  await world.until(
    "a has its pod",
    () => print(stream.webhookRoutes.at(-1)).join() === "a: x at a-0 10.0.0.1",
  );
  await world.until("the older proxy is granted", () => older.standing.startsWith("granted"));
  assert.equal(older.webhookRoutes.length, 0);
});

test("webhook routes: the same is not sent twice", async () => {
  await using world = new ShardingWorld();
  world.apply("a", ["x"], webhook);
  const leader = world.lead(1);
  const stream = new ProxyStream(world.startPod("a-0", "a", { relays: true }), leader, 0n, true);
  await world.until(
    "a has its pod",
    () => print(stream.webhookRoutes.at(-1)).join() === "a: x at a-0 10.0.0.1",
  );
  const { length } = stream.webhookRoutes;
  await world.clock.advance(120_000);
  assert.equal(stream.webhookRoutes.length, length);
});
