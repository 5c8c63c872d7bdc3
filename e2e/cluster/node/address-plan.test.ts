import assert from "node:assert/strict";
import { isIPv4, isIPv6 } from "node:net";
import { test } from "node:test";
import { CtrlmeshError } from "#api/errors";
import {
  addressPlan,
  bridge,
  clusterLimit,
  freeIndex,
  indexOfInterface,
  interfaceName,
} from "./address-plan.ts";

const plans = Array.from({ length: clusterLimit }, (_, index) => addressPlan(index));

test("address plan: no two clusters share a node's address or a range of pods, and none is the machine's", () => {
  const own = plans.flatMap(({ node, podRanges, nodeMac }) => [
    ...Object.values(node),
    ...Object.values(podRanges),
    nodeMac,
  ]);
  assert.equal(new Set([...own, bridge.ipv4, bridge.ipv6]).size, 5 * clusterLimit + 2);
});

test("address plan: every address and range is of its family", () => {
  for (const { node, podRanges, serviceRanges, dns, apiServerService } of plans) {
    for (const ipv4 of [node.ipv4, dns.ipv4, apiServerService]) assert.ok(isIPv4(ipv4), ipv4);
    for (const ipv6 of [node.ipv6, dns.ipv6]) assert.ok(isIPv6(ipv6), ipv6);
    for (const range of [podRanges, serviceRanges]) {
      assert.ok(isIPv4(range.ipv4.replace(/\/\d+$/, "")), range.ipv4);
      assert.ok(isIPv6(range.ipv6.replace(/\/\d+$/, "")), range.ipv6);
    }
  }
});

test("address plan: there is none beyond the limit", () => {
  for (const index of [-1, 0.5, clusterLimit])
    assert.throws(
      () => addressPlan(index),
      (error) => error instanceof CtrlmeshError && error.code === "INTERNAL",
    );
});

test("free index: the lowest that nobody has, none when all are taken", () => {
  assert.equal(freeIndex([]), 0);
  assert.equal(freeIndex([1, 0, 3, 1]), 2);
  assert.equal(freeIndex(plans.keys()), undefined);
});

test("interface name: it fits the kernel's 15 characters, and tells its cluster's index", () => {
  for (const index of plans.keys()) {
    const name = interfaceName(index, "0123abcd");
    assert.ok(name.length <= 15, name);
    assert.equal(indexOfInterface(name), index);
  }
  for (const foreign of ["eth0", "ctrlmesh0", "cm0", "cm0-xyz", "cm1234-0123abcd", "veth0123abcd"])
    assert.equal(indexOfInterface(foreign), undefined, foreign);
});
