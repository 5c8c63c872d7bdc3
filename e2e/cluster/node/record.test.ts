import assert from "node:assert/strict";
import { test } from "node:test";
import type { ProcessIdentity } from "../process-identity.ts";
import { type ClusterRecord, type ClusterState, stateOf } from "./record.ts";

const living: ProcessIdentity = { pid: 1, start: "boot:1" };
/** The same id, given to another process since. */
const dead: ProcessIdentity = { pid: 1, start: "boot:0" };
const isAlive = ({ start }: ProcessIdentity): boolean => start === living.start;

function record(processes: Pick<ClusterRecord, "owner" | "booter" | "init">): ClusterRecord {
  return {
    name: "a",
    version: "1.36.3",
    index: 0,
    cgroup: "ctrlmesh-a-01234567",
    cable: "cm0-01234567",
    options: { featureGates: {}, apiserverArgs: [], controllerManagerArgs: [], audit: false },
    parts: {},
    ...processes,
  };
}

test("cluster state: it follows from which of owner, booter and init live", () => {
  const cases: readonly (readonly [Pick<ClusterRecord, "owner" | "booter" | "init">, ClusterState])[] = [
    [{}, "stopped"],
    [{ owner: living }, "stopped"],
    [{ init: living }, "running"],
    [{ owner: living, init: living }, "running"],
    [{ booter: living }, "booting"],
    [{ owner: living, booter: living }, "booting"],
    [{ booter: living, init: living }, "booting"],
    // The boot fails by itself and cleans up, which is not for others to do at the same time.
    [{ owner: living, booter: living, init: dead }, "booting"],
    [{ booter: dead }, "interrupted"],
    [{ booter: dead, init: living }, "interrupted"],
    [{ init: dead }, "interrupted"],
    [{ owner: living, init: dead }, "interrupted"],
    [{ owner: dead }, "orphaned"],
    [{ owner: dead, init: living }, "orphaned"],
    [{ owner: dead, booter: dead, init: living }, "orphaned"],
    [{ owner: dead, booter: living }, "orphaned"],
  ];
  for (const [processes, state] of cases)
    assert.equal(stateOf(record(processes), isAlive), state, JSON.stringify(processes));
});
