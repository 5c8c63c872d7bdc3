import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { Grant, HashFunction, SnapshotSchema } from "#api/gen/ctrlmesh/v1/control_pb";
import { FakeClock } from "#runtime/fake-clock";
import { silentLog } from "#runtime/log";
import { FloorTable } from "./apiserver/floor.ts";
import { decide } from "./apiserver/pipeline.ts";
import { Relists } from "./relists.ts";
import { compileSnapshot } from "./snapshot.ts";

function snapshotOf(revision: bigint) {
  const limits = [{ groups: [""], resources: ["configmaps", "secrets"], selector: "s=a" }];
  const id = { term: 1n, revision };
  return compileSnapshot(
    create(SnapshotSchema, { id, shard: "a", grant: Grant.GRANTED, hash: HashFunction.MURMUR3, limits }),
  );
}

function observing() {
  const clock = new FakeClock();
  const floors = FloorTable.fromJSON(
    {
      floors: ["configmaps", "secrets"].map((resource) => ({
        group: "",
        resource,
        selector: "s=a",
        resourceVersion: "5",
      })),
    },
    {
      read: () => Promise.reject(new Error("not asked")),
      clock,
      log: silentLog,
      random: () => 0,
      signal: new AbortController().signal,
      onKnown: () => {},
    },
  );
  const relists = new Relists();
  const seeing = relists.observing(decide);
  const ask = (snapshot: ReturnType<typeof snapshotOf>, target: string) =>
    seeing(
      { method: "GET", target, accept: undefined, isUpgrade: false },
      { snapshot, floors, draining: false },
    );
  return { relists, ask };
}

test("relists: lists and watches that begin with the objects count, once each; resumed watches and others do not", () => {
  const { relists, ask } = observing();
  const snapshot = snapshotOf(1n);
  ask(snapshot, "/api/v1/configmaps?watch=true&resourceVersion=9");
  ask(snapshot, "/api/v1/nodes");
  assert.deepEqual(relists.under(snapshot), []);
  ask(snapshot, "/api/v1/secrets?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan");
  ask(snapshot, "/api/v1/configmaps?limit=500");
  ask(snapshot, "/api/v1/namespaces/x/configmaps");
  assert.deepEqual(relists.under(snapshot), [
    { group: "", resource: "configmaps" },
    { group: "", resource: "secrets" },
  ]);
});

test("relists: the next snapshot starts with none", () => {
  const { relists, ask } = observing();
  const [first, second] = [snapshotOf(1n), snapshotOf(2n)];
  ask(first, "/api/v1/configmaps");
  assert.deepEqual(relists.under(second), []);
  ask(second, "/api/v1/secrets");
  assert.deepEqual(relists.under(second), [{ group: "", resource: "secrets" }]);
});
