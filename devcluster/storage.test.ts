import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { KubeObject } from "./kube-object.ts";
import { Storage } from "./storage.ts";
import { replay, WatchCache } from "./watch-cache.ts";

const objectOf = (name: string, value: number): KubeObject => ({
  apiVersion: "v1",
  kind: "Thing",
  metadata: { name, labels: { value: String(value) } },
});

interface Step {
  readonly name: string;
  readonly value: number;
}

/** A value of 0 deletes; anything else creates or updates. */
function write(storage: Storage, { name, value }: Step): void {
  const existing = storage.get("things", name);
  if (value === 0) {
    if (existing !== undefined) storage.delete("things", name, existing.revision);
  } else if (existing === undefined) storage.create("things", name, objectOf(name, value));
  else storage.update("things", name, objectOf(name, value), existing.revision);
}

const steps = fc.array(
  fc.record({
    name: fc.constantFrom("a", "a-b", "a.b", "b", "n/a", "n/b", "n-1/a"),
    value: fc.nat({ max: 3 }),
  }),
  { maxLength: 40 },
);
const print = (storage: Storage, revision?: number): string[] =>
  storage.list("things", "", revision).map(({ key, object }) => `${key}=${object.metadata.labels?.value}`);

test("storage: a list at any revision is what a list showed at that time", () => {
  fc.assert(
    fc.property(steps, (writes) => {
      const storage = new Storage();
      const seen: [number, string[]][] = [[storage.revision, print(storage)]];
      for (const each of writes) {
        write(storage, each);
        seen.push([storage.revision, print(storage)]);
      }
      for (const [revision, list] of seen) assert.deepEqual(print(storage, revision), list);
    }),
  );
});

test("storage: a list plus the changes after it is the newest list, for every revision and selector", () => {
  fc.assert(
    fc.property(steps, fc.nat({ max: 3 }), (writes, value) => {
      const storage = new Storage();
      const matches = ({ metadata }: KubeObject): boolean => metadata.labels?.value === String(value);
      const select = (revision?: number): Map<string, KubeObject> =>
        new Map(
          storage
            .list("things", "", revision)
            .filter(({ object }) => matches(object))
            .map(({ key, object }) => [key, object]),
        );
      const start = storage.revision;
      for (const each of writes) write(storage, each);
      for (let revision = start; revision <= storage.revision; revision++) {
        const copy = select(revision);
        for (const change of storage.changesAfter("things", revision)) {
          replay(change, matches, (type, object) => {
            const present = copy.has(change.key);
            // Each event fits what the watcher has: no second ADDED, nothing for what it never saw.
            assert.equal(present, type !== "ADDED");
            if (type === "DELETED") copy.delete(change.key);
            else copy.set(change.key, object);
          });
        }
        assert.deepEqual([...copy.keys()].sort(), [...select().keys()].sort());
      }
    }),
  );
});

test("storage: keys are in byte order and a prefix chooses a namespace only", () => {
  const storage = new Storage();
  for (const name of ["n/b", "n/a", "n-1/a", "na/a"]) write(storage, { name, value: 1 });
  assert.deepEqual(
    storage.list("things", "n/").map(({ key }) => key),
    ["n/a", "n/b"],
  );
  assert.deepEqual(
    storage.list("things", "").map(({ key }) => key),
    ["n-1/a", "n/a", "n/b", "na/a"],
  );
});

test("storage: a write for another revision than the present one is a conflict and changes nothing", () => {
  const storage = new Storage();
  const made = storage.create("things", "a", objectOf("a", 1));
  assert.equal(made.kind, "stored");
  const before = storage.revision;
  assert.equal(storage.create("things", "a", objectOf("a", 2)).kind, "exists");
  assert.equal(storage.update("things", "a", objectOf("a", 2), before - 1).kind, "conflict");
  assert.equal(storage.delete("things", "a", before - 1).kind, "conflict");
  assert.deepEqual([storage.revision, print(storage)], [before, ["a=1"]]);
});

test("storage: the history keeps its limit and says from where on it is complete", () => {
  const storage = new Storage(10);
  for (let value = 1; value <= 100; value++) write(storage, { name: "a", value });
  const compacted = storage.compactedRevision("things");
  assert.equal(storage.changesAfter("things", 0).length, 10);
  assert.equal(compacted, storage.revision - 10);
  assert.equal(storage.changesAfter("things", compacted).length, 10);
});

test("watch cache: a namespaced watcher hears its namespace only, a disposed one nothing", () => {
  const storage = new Storage();
  using cache = new WatchCache(storage);
  const heard: string[] = [];
  const watch = (namespace: string) =>
    cache.watch({
      collection: "things",
      namespace,
      matches: () => true,
      listener: (type, object) => heard.push(`${namespace}:${type} ${object.metadata.name}`),
      expire: () => {},
    });
  const inside = watch("n");
  using _everywhere = watch("");
  write(storage, { name: "n/a", value: 1 });
  write(storage, { name: "m/a", value: 1 });
  inside[Symbol.dispose]();
  write(storage, { name: "n/a", value: 2 });
  assert.deepEqual(heard, [":ADDED n/a", "n:ADDED n/a", ":ADDED m/a", ":MODIFIED n/a"]);
  assert.equal(cache.size, 1);
});
