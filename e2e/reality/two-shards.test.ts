import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { KubernetesObject } from "#api/meta";
import { annotations, defaultShardLabels } from "#api/names";
import { kubernetesVersion, olderKubernetesVersion } from "../cluster/versions.ts";
import { bucketOfNamespace, operatorNamespace, podOf, shardingConfig } from "../flow/digest-operators.ts";
import { eventually } from "../flow/eventually.ts";
import { kinds } from "../flow/mesh.ts";
import { type PodRequest, requestsOf } from "./audit-log.ts";
import { digestAnnotation, operatorAccount, operatorManifests, sourceLabel } from "./operator-manifests.ts";
import { readRecords, workersOf } from "./operator-records.ts";
import { RealMesh } from "./real-mesh.ts";
import { createSources, deleteSources } from "./sources.ts";

/**
 * A controller-runtime operator of today behind two shards on a real API server. What is asserted comes from the
 * operators' own records and from the API server's audit log, never from a part of ours.
 */

const never = new AbortController().signal;
const namespaces = Array.from({ length: 40 }, (_, index) => `team-${index}`);
/** Both lower and upper buckets must have namespaces, else there is nothing to tell apart. */
const lower = Array.from({ length: 16 }, (_, bucket) => bucket);
const shards = [
  { name: "shard-a", ordinal: 0, buckets: lower },
  { name: "shard-b", ordinal: 1, buckets: lower.map((bucket) => bucket + 16) },
];

/** Go's HTTP/2 is on by default; one of the two shows that nothing depends on it. */
const versions: readonly {
  readonly version: string;
  readonly stampedBy: "policy" | "webhook";
  readonly variables: Readonly<Record<string, string>>;
}[] = [
  { version: kubernetesVersion, stampedBy: "policy", variables: {} },
  { version: olderKubernetesVersion, stampedBy: "webhook", variables: { DISABLE_HTTP2: "true" } },
];

/** The pod that is to work on what lies in a namespace. */
function ownerOf(namespace: string): string {
  return podOf(bucketOfNamespace(namespace) < lower.length ? 0 : 1);
}

/** "namespace/name" of `count` sources in each of some namespaces. */
function sourceNames(prefix: string, count: number, within: readonly string[] = namespaces): string[] {
  return within.flatMap((namespace) =>
    Array.from({ length: count }, (_, index) => `${namespace}/${prefix}-${index}`),
  );
}

const nameOf = ({ metadata }: KubernetesObject): string => `${metadata?.namespace}/${metadata?.name}`;
const hashOf = ({ metadata }: KubernetesObject): string | undefined =>
  metadata?.labels?.[defaultShardLabels.hash];

for (const { version, stampedBy, variables } of versions) {
  describe(`Kubernetes ${version}`, () => {
    let mesh: RealMesh;

    before(async () => {
      mesh = await RealMesh.open(version);
      await mesh.apply(
        ...[...namespaces, operatorNamespace].map((name) => ({
          apiVersion: "v1",
          kind: "Namespace",
          metadata: { name },
        })),
        {
          apiVersion: "v1",
          kind: "ConfigMap",
          metadata: { name: "ctrlmesh-sharding-resource", namespace: "ctrlmesh" },
          data: { "resource-config": "groupVersionKinds: {v1: [ConfigMap]}" },
        },
      );
      await createSources(mesh.client, sourceNames("first", 25));
      await mesh.manager.start();
      await mesh.admin.ok(["annotate", "namespace", operatorNamespace, `${annotations.enableProxy}=true`]);
      await newSourcesAreLabelled();
      await mesh.apply(
        ...shards.map(shardingConfig),
        ...operatorManifests(shards.length, mesh.recordsFolder, variables),
      );
      await mesh.shardsReady();
    });

    after(async () => {
      await mesh?.[Symbol.asyncDispose]();
    });

    /** Whoever stamps takes effect in the API server some time after it is written: ask with objects of no matter. */
    async function newSourcesAreLabelled(): Promise<void> {
      await eventually(
        "a new ConfigMap carries its hash as soon as it is created",
        async () => {
          const metadata = { namespace: "team-0", generateName: "probe-" };
          const probe = { apiVersion: "v1", kind: "ConfigMap", metadata };
          const made = await mesh.client.create(kinds.configMaps, probe, { signal: never });
          const { name = "" } = made.metadata ?? {};
          await mesh.client.delete(kinds.configMaps, { namespace: "team-0", name }, { signal: never });
          return hashOf(made) === bucketTextOf("team-0");
        },
        { withinMs: 60_000, detail: () => mesh.manager.log().slice(-3000) },
      );
    }

    /** Waits until each of them has its digest. */
    async function allHaveDigests(names: readonly string[], withinMs = 60_000): Promise<void> {
      let open: readonly string[] = [];
      await eventually(
        "every source has its digest",
        async () => {
          const sources = await mesh.configMaps(`${sourceLabel}=true`);
          const done = new Set(
            sources
              .filter((each) => each.metadata?.annotations?.[digestAnnotation] !== undefined)
              .map(nameOf),
          );
          open = names.filter((name) => !done.has(name));
          return open.length === 0;
        },
        { withinMs, detail: () => `${open.length} have none: ${open.slice(0, 20).join(" ")}` },
      );
    }

    /** Changes sources and waits until their digests have followed. */
    async function changesAreDigested(names: readonly string[]): Promise<void> {
      const digests = async () => {
        const sources = await mesh.configMaps(`${sourceLabel}=true`);
        return new Map(sources.map((each) => [nameOf(each), each.metadata?.annotations?.[digestAnnotation]]));
      };
      const before = await digests();
      for (const each of names) {
        const [namespace = "", name = ""] = each.split("/");
        const body = { data: { text: "changed while the manager is down" } };
        await mesh.client.patch(
          kinds.configMaps,
          { namespace, name },
          { type: "merge", body },
          { signal: never },
        );
      }
      await eventually("changed sources have other digests", async () => {
        const now = await digests();
        return names.every((name) => now.get(name) !== before.get(name));
      });
    }

    const requests = (): PodRequest[] => requestsOf(mesh.plane.auditEvents(), operatorAccount);
    const deletions = (): string[] =>
      readRecords(mesh.recordsFolder)
        .filter(({ event }) => event === "delete")
        .map(({ pod, object }) => `${pod} ${object}`)
        .sort();

    /**
     * Pods whose operator has ended and begun again, as controller-runtime does when a slow API server costs it its
     * lease: it never hears of what was deleted in between.
     */
    function restartedPods(): ReadonlySet<string> {
      const starts = readRecords(mesh.recordsFolder).filter(({ event }) => event === "started");
      const pods = starts.map(({ pod }) => pod);
      return new Set(pods.filter((pod, index) => pods.indexOf(pod) !== index));
    }

    /**
     * Each source was seen and worked on by the pod of its shard and by no other, by records and by the audit log.
     * A write that a kill of the API server cut is not in its log; the records have it.
     */
    function assertOneOwner(names: readonly string[], log: "whole" | "cut" = "whole"): void {
      const workers = workersOf(readRecords(mesh.recordsFolder));
      const writers = writersOf(requests());
      const isRight = (pods: ReadonlySet<string> | undefined, owner: string, mayMiss: boolean): boolean =>
        pods === undefined ? mayMiss : pods.size === 1 && pods.has(owner);
      const wrong = [...new Set([...names, ...workers.keys(), ...writers.keys()])].filter((name) => {
        const owner = ownerOf(name.slice(0, name.indexOf("/")));
        const isOther = !names.includes(name);
        return !(
          isRight(workers.get(name), owner, isOther) &&
          isRight(writers.get(name), owner, isOther || log === "cut")
        );
      });
      assert.deepEqual(
        wrong.map((name) => `${name}: ${[...(workers.get(name) ?? [])]}; ${[...(writers.get(name) ?? [])]}`),
        [],
      );
    }

    test("two shards: 1,000 objects in 40 namespaces are each worked on by one shard", async () => {
      const names = sourceNames("first", 25);
      assert.equal(names.length, 1000);
      assert.equal(new Set(namespaces.map(ownerOf)).size, 2);
      await allHaveDigests(names);
      assertOneOwner(names);
    });

    test("two shards: each pod leads under a lease of its own", () => {
      const leases = requests().filter(({ verb, resource }) => verb === "update" && resource === "leases");
      for (const { ordinal } of shards) {
        const lease = `${operatorNamespace}/operator-go-${podOf(ordinal)}`;
        const holders = leases.filter(({ object }) => object === lease).map(({ pod }) => pod);
        assert.deepEqual([...new Set(holders)], [podOf(ordinal)]);
      }
    });

    test("a client that strips the shard labels makes no operator see a deletion", async () => {
      const before = deletions();
      const names = sourceNames("first", 1);
      for (const name of names) {
        const [namespace = "", sourceName = ""] = name.split("/");
        const object = await mesh.client.get(
          kinds.configMaps,
          { namespace, name: sourceName },
          { signal: never },
        );
        const metadata = { ...object.metadata, labels: { [sourceLabel]: "true" } };
        const stripped = { ...object, metadata, data: { text: "changed" } };
        const answer = await mesh.client.update(kinds.configMaps, stripped, { signal: never });
        assert.equal(hashOf(answer), bucketTextOf(namespace), "the answer has the labels again");
      }
      await eventually("each change was seen", () => {
        const updated = readRecords(mesh.recordsFolder).filter(({ event }) => event === "update");
        const seen = updated.reduce(
          (map, { object }) => map.set(object, (map.get(object) ?? 0) + 1),
          new Map(),
        );
        // One update is the operator's own digest.
        return names.every((name) => seen.get(name) >= 3);
      });
      assert.deepEqual(deletions(), before);
      assertOneOwner(names);
    });

    test("the manager is down: operators go on, and new objects reach the shard of their namespace", async () => {
      await mesh.manager.stop("SIGKILL");
      const names = sourceNames("down", 3);
      const made = await createSources(mesh.client, names);
      await changesAreDigested(sourceNames("first", 1));
      if (stampedBy === "policy") {
        assertStamped(made);
        await allHaveDigests(names);
        await mesh.manager.start();
      } else {
        // Labels fail open: nobody's write waits for the manager, no shard sees what has no label, healing mends it.
        assert.equal(made.length, names.length);
        assert.deepEqual(made.filter((object) => hashOf(object) !== undefined).map(nameOf), []);
        const seen = workersOf(readRecords(mesh.recordsFolder));
        assert.deepEqual(
          names.filter((name) => seen.has(name)),
          [],
        );
        await mesh.manager.start();
        await allHaveDigests(names);
      }
      assertOneOwner(names);
    });

    test("the API server is restarted in the middle: nothing is lost and nothing is seen twice over", async () => {
      const made = sourceNames("restart", 10);
      const gone = sourceNames("first", 5).filter((name) => name.endsWith("-4"));
      const creating = createSources(mesh.client, made);
      const deleting = deleteSources(mesh.client, gone);
      await eventually("some are made", async () => {
        const sources = await mesh.configMaps(`${sourceLabel}=true`);
        return sources.some(({ metadata }) => metadata?.name?.startsWith("restart-"));
      });
      await mesh.plane.restartApiServer();
      const [answers] = await Promise.all([creating, deleting]);
      if (stampedBy === "policy") assertStamped(answers);
      await allHaveDigests(made);
      const wanted = gone.map((name) => `${ownerOf(name.split("/")[0] ?? "")} ${name}`);
      let unseen: readonly string[] = [];
      await eventually(
        "each deletion was seen by the owner",
        () => {
          const seen = deletions();
          const restarted = restartedPods();
          unseen = wanted.filter((each) => !seen.includes(each) && !restarted.has(each.split(" ")[0] ?? ""));
          return unseen.length === 0;
        },
        { detail: () => unseen.join("\n") },
      );
      assert.deepEqual(
        deletions().filter((each) => !wanted.includes(each)),
        [],
        "nothing else seemed to be deleted",
      );
      assertOneOwner(made, "cut");
    });

    test("every list and watch of an operator carries its shard's selector to the API server", () => {
      const reads = requests().filter(({ verb }) => ["list", "watch", "deletecollection"].includes(verb));
      const own = `/namespaces/${operatorNamespace}/`;
      const bare = reads.filter(({ target, pod }) => {
        if (target.includes(own)) return false;
        const selector = new URL(target, "https://api").searchParams.get("labelSelector") ?? "";
        const ordinal = shards.findIndex((shard) => podOf(shard.ordinal) === pod);
        return !selector.includes(selectorOf(shards[ordinal]?.buckets ?? []));
      });
      assert.deepEqual(bare, []);
      assert.ok(
        shards.every(({ ordinal }) =>
          reads.some(
            ({ verb, resource, pod }) =>
              verb === "watch" && resource === "configmaps" && pod === podOf(ordinal),
          ),
        ),
        "the log tells of the watches",
      );
      assert.ok(
        reads.some(({ target }) => target.includes("sendInitialEvents=true")),
        "the operator reads by WatchList, as client-go does by default",
      );
    });
  });
}

/** Answers to creates: each object got its labels in the request that made it. */
function assertStamped(answers: readonly KubernetesObject[]): void {
  const wrong = answers.filter((object) => hashOf(object) !== bucketTextOf(object.metadata?.namespace));
  assert.deepEqual(wrong.map(nameOf), []);
}

/** Pods that have written each ConfigMap, by "namespace/name". */
function writersOf(requests: readonly PodRequest[]): ReadonlyMap<string, ReadonlySet<string>> {
  const writers = new Map<string, Set<string>>();
  for (const { verb, resource, object, pod, status } of requests) {
    if (verb !== "patch" || resource !== "configmaps" || status >= 300) continue;
    writers.set(object, (writers.get(object) ?? new Set()).add(pod));
  }
  return writers;
}

function bucketTextOf(namespace: string | undefined): string {
  return String(bucketOfNamespace(namespace ?? ""));
}

/** What a shard of these buckets is limited to, as label selectors are printed. */
function selectorOf(buckets: readonly number[]): string {
  return `${defaultShardLabels.hash} in (${buckets.join(",")})`;
}
