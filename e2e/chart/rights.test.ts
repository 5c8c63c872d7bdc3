import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { KubernetesObject } from "#api/meta";
import { annotations, defaultShardLabels, wellKnown } from "#api/names";
import { kubernetesVersion, olderKubernetesVersion } from "../cluster/versions.ts";
import { operatorNamespace, shardingConfig } from "../flow/digest-operators.ts";
import { eventually } from "../flow/eventually.ts";
import { kinds } from "../flow/mesh.ts";
import { operatorManifests } from "../reality/operator-manifests.ts";
import { RealMesh } from "../reality/real-mesh.ts";
import { describeRight, isUseOf, type Right, requestsOf, rightsOf } from "./granted-rights.ts";
import { chart, helm, objectsOf, release, valueArguments } from "./helm.ts";

/**
 * The chart's objects on a real API server, and a manager with the rights that they give it: it lacks none, and none
 * of them is for nothing.
 */

const never = new AbortController().signal;
const account = "system:serviceaccount:ctrlmesh:ctrlmesh-manager";
const lower = Array.from({ length: 16 }, (_, bucket) => bucket);
const upper = lower.map((bucket) => bucket + 16);
/** What the roles of the install files are called; the chart's have the same names. */
const installed = ["clusterrole", "clusterrolebinding"].flatMap((kind) =>
  ["ctrlmesh-manager", "ctrlmesh-labelled-kinds"].map((name) => `${kind}/${name}`),
);

const labelled = ["ConfigMap", "Service", "Pod", "PersistentVolumeClaim"];

/** Rights that none of this makes use of, and when they are used. */
const usedLater: Readonly<Record<string, string>> = {
  "patch events.events.k8s.io": "an event repeats",
  "update secrets ctrlmesh-ca": "the mesh CA is renewed",
  "update secrets ctrlmesh-webhook-certs": "the webhooks' certificate is renewed",
  "get shardingconfigs.ctrlmesh.kusionstack.io": "checked when a policy takes them as its parameter",
  "get ownershipledgers.ctrlmesh.kusionstack.io": "another hand wrote a ledger",
};
const isUsedLater = (right: Right): boolean => Object.hasOwn(usedLater, describeRight(right));
/** No MutatingAdmissionPolicy v1. */
const isForNewer = (version: string, { resource }: Right): boolean =>
  version === olderKubernetesVersion && resource.startsWith("mutatingadmission");

for (const version of [kubernetesVersion, olderKubernetesVersion]) {
  describe(`the chart's rights on Kubernetes ${version}`, () => {
    let mesh: RealMesh;

    before(async () => {
      mesh = await RealMesh.open(version);
      await mesh.admin.ok(["delete", ...installed]);
      await mesh.admin.ok([
        "-n",
        "ctrlmesh",
        "delete",
        "role/ctrlmesh-manager",
        "rolebinding/ctrlmesh-manager",
      ]);
      // The manager runs as a process: the pod runner would start the chart's with what a pod has.
      await helm(
        [
          "install",
          release.name,
          chart,
          "--namespace",
          release.namespace,
          "--take-ownership",
          ...valueArguments({ replicas: 0, "sharding.groupVersionKinds": { v1: labelled } }),
        ],
        mesh.plane.kubeconfig,
      );
    });

    after(async () => {
      await mesh?.[Symbol.asyncDispose]();
    });

    test("the manager is refused nothing while an operator comes, changes its shards and goes", async () => {
      const namespaces = ["team-0", "team-1", "team-2", "team-3"];
      await mesh.apply(
        ...[...namespaces, operatorNamespace].map((name) => ({
          apiVersion: "v1",
          kind: "Namespace",
          metadata: { name },
        })),
        ...unlabelled("team-0"),
      );
      await mesh.manager.start();
      await mesh.admin.ok(["annotate", "namespace", operatorNamespace, `${annotations.enableProxy}=true`]);
      const shards = (a: readonly number[], b: readonly number[]) => [
        shardingConfig({ name: "shard-a", ordinal: 0, buckets: a }),
        shardingConfig({ name: "shard-b", ordinal: 1, buckets: b }),
      ];
      await mesh.apply(...shards(lower, upper), ...operatorManifests(2, mesh.recordsFolder, {}));
      await mesh.shardsReady();
      await mesh.apply(...shards([...lower, 16], upper.slice(1)));
      await mesh.shardsReady();
      await mesh.admin.ok(["-n", operatorNamespace, "delete", "statefulset", "--all", "--wait=false"]);
      await mesh.admin.ok(["-n", operatorNamespace, "delete", "shardingconfigs", "--all", "--wait=false"]);
      await eventually(
        "shards and ledger are gone",
        async () => {
          const namespace = operatorNamespace;
          const configs = await mesh.client.list(kinds.shardingConfigs, { namespace }, { signal: never });
          const ledgers = await mesh.client.list(kinds.ledgers, { namespace }, { signal: never });
          return configs.items.length + ledgers.items.length === 0;
        },
        { withinMs: 60_000, detail: () => mesh.manager.log().slice(-3000) },
      );
      await eventually("all is labelled", async () => {
        const resources = "configmaps,services,pods,persistentvolumeclaims";
        const bare = `-l!${defaultShardLabels.hash}`;
        return (await mesh.admin.ok(["-n", "team-0", "get", resources, bare, "-o", "name"])) === "";
      });
      if (version === kubernetesVersion) {
        await eventually(
          "what is labelled is stamped",
          async () => {
            const { exitCode } = await mesh.admin.run([
              "get",
              "mutatingadmissionpolicy",
              wellKnown.stampPolicy,
            ]);
            return exitCode === 0;
          },
          { withinMs: 60_000 },
        );
      }
      const refused = used().filter(({ status }) => status === 403);
      assert.deepEqual(refused, []);
    });

    test("no right is for nothing", async () => {
      const roles = objectsOf(
        await helm(
          ["get", "manifest", release.name, "--namespace", release.namespace],
          mesh.plane.kubeconfig,
        ),
      ).filter(
        ({ kind, metadata }) =>
          (kind === "Role" || kind === "ClusterRole") &&
          ["ctrlmesh-manager", "ctrlmesh-labelled-kinds"].includes(metadata?.name ?? ""),
      );
      const requests = used().filter(({ status }) => status !== 403);
      const unused = rightsOf(roles).filter(
        (right) => !requests.some((request) => isUseOf(right, request)) && !isForNewer(version, right),
      );
      assert.deepEqual(unused.filter((right) => !isUsedLater(right)).map(describeRight), []);
    });

    const used = () => requestsOf(mesh.plane.auditEvents(), account);
  });
}

/** An object of each kind that the chart's values name. */
function unlabelled(namespace: string): readonly KubernetesObject[] {
  const metadata = { name: "first", namespace };
  const containers = [{ name: "pause", image: "nowhere.example/pause" }];
  return [
    { apiVersion: "v1", kind: "ConfigMap", metadata },
    { apiVersion: "v1", kind: "Service", metadata, spec: { ports: [{ port: 80 }] } },
    { apiVersion: "v1", kind: "Pod", metadata, spec: { nodeName: "nowhere", containers } },
    {
      apiVersion: "v1",
      kind: "PersistentVolumeClaim",
      metadata,
      spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } },
    },
  ].map((object) => object as KubernetesObject);
}
