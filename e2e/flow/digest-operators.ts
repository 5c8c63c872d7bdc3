import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { bucketOf } from "#api/bucket";
import type { KubernetesObject } from "#api/meta";
import { defaultShardLabels, group, labels } from "#api/names";
import { eventually } from "./eventually.ts";
import { kinds, type Mesh, root } from "./mesh.ts";

/** The example operator with one pod per shard, and what its pods wrote down. */

export const operatorNamespace = "demo";
export const recordLabel = "example.com/operator-record=true";
const never = new AbortController().signal;

/** What one operator pod wrote down about its cache. */
export interface OperatorRecord {
  readonly pod: string;
  /** When its process started, RFC 3339. */
  readonly startedAt: string;
  /** RFC 3339. */
  readonly writtenAt: string;
  /** Lists that it made. */
  readonly lists: number;
  /** "namespace/name" of each object in its cache. */
  readonly sources: readonly string[];
}

export interface Shard {
  readonly name: string;
  /** Pod digest-operator-N serves it. */
  readonly ordinal: number;
  /** Namespaces, or buckets, that it claims. */
  readonly namespaces?: readonly string[];
  readonly buckets?: readonly number[];
  readonly resources?: readonly string[];
  /** Further members of the spec. */
  readonly spec?: Readonly<Record<string, unknown>>;
}

export function podOf(ordinal: number): string {
  return `digest-operator-${ordinal}`;
}

export function bucketOfNamespace(namespace: string): number {
  return bucketOf(namespace, "murmur3");
}

export function shardingConfig({
  name,
  ordinal,
  namespaces,
  buckets = [],
  ...more
}: Shard): KubernetesObject {
  const { resources = ["configmaps"], spec = {} } = more;
  const [key, values] =
    namespaces === undefined
      ? [defaultShardLabels.hash, buckets.map(String)]
      : [defaultShardLabels.namespace, namespaces];
  return {
    apiVersion: `${group}/v1alpha1`,
    kind: "ShardingConfig",
    metadata: { name, namespace: operatorNamespace },
    spec: {
      selector: { matchExpressions: [{ key: labels.podName, operator: "In", values: [podOf(ordinal)] }] },
      ...spec,
      limits: [
        {
          relateResources: [{ apiGroups: [""], resources }],
          selector: { matchExpressions: [{ key, operator: "In", values }] },
        },
      ],
    },
  };
}

/** Applies the operator with so many pods; every other field is that of the demo. */
export async function installOperator(mesh: Mesh, replicas: number): Promise<void> {
  const text = readFileSync(join(root, "examples/demo/operator.yaml"), "utf8");
  for (const document of parseAllDocuments(text)) {
    const object = document.toJS() as KubernetesObject & { spec?: Record<string, unknown> };
    await mesh.apply(
      object.kind === "StatefulSet" ? { ...object, spec: { ...object.spec, replicas } } : object,
    );
  }
}

/** Opts the operators' namespace in, applies the shards and the operator, and waits until all is granted. */
export async function startOperators(mesh: Mesh, shards: readonly Shard[]): Promise<void> {
  await mesh.namespace(operatorNamespace, true);
  for (const shard of shards) await mesh.apply(shardingConfig(shard));
  await installOperator(mesh, shards.length);
  await mesh.shardsReady(operatorNamespace);
}

/** A source ConfigMap, of which the owner is to keep a digest. Returns "namespace/name". */
export async function applySource(mesh: Mesh, namespace: string, name: string, text = name): Promise<string> {
  const metadata = { name, namespace, labels: { "example.com/source": "true" } };
  await mesh.apply({ apiVersion: "v1", kind: "ConfigMap", metadata, data: { text } });
  return `${namespace}/${name}`;
}

export function parseRecord(object: KubernetesObject): OperatorRecord {
  const text = (object.data as Record<string, string> | undefined)?.record ?? "";
  // Written by the example operator of this project.
  return JSON.parse(text) as OperatorRecord;
}

export async function readRecords(mesh: Mesh): Promise<readonly OperatorRecord[]> {
  const query = { namespace: operatorNamespace, labelSelector: recordLabel };
  return (await mesh.list(kinds.configMaps, query)).map(parseRecord);
}

/** `data` of the digest of a source: the digest and the pod that wrote it last. */
export async function readDigest(mesh: Mesh, source: string): Promise<Readonly<Record<string, string>>> {
  const [namespace = "", name] = source.split("/");
  const object = await mesh.get(kinds.configMaps, namespace, `${name}-digest`);
  return (object.data ?? {}) as Record<string, string>;
}

/**
 * Waits until every pod has written, after this call, that its cache holds exactly what it is to own. Objects that
 * no pod is named for must be in no cache.
 */
export async function ownersSettle(
  mesh: Mesh,
  wanted: Readonly<Record<string, readonly string[]>>,
  withinMs = 30_000,
): Promise<void> {
  const since = Date.now();
  let seen = "";
  await eventually(
    "each pod's cache holds what its shard owns and nothing else",
    async () => {
      const all = await readRecords(mesh);
      const fresh = all.filter(({ writtenAt }) => Date.parse(writtenAt) > since);
      seen = all
        .map(({ pod, writtenAt, sources }) => `${pod} at ${writtenAt}: ${sources.join(" ")}`)
        .join("\n");
      return Object.entries(wanted).every(([pod, sources]) => {
        const record = fresh.find((each) => each.pod === pod);
        return record?.sources.join() === [...sources].sort().join();
      });
    },
    { withinMs, detail: () => seen },
  );
}

/** A running pod, by name. */
export async function podNow(
  mesh: Mesh,
  ordinal: number,
): Promise<{ uid: string; ip: string; restarts: number }> {
  const { metadata, status } = await mesh.get(kinds.pods, operatorNamespace, podOf(ordinal));
  const {
    podIP = "",
    containerStatuses = [],
    initContainerStatuses = [],
  } = (status ?? {}) as {
    podIP?: string;
    containerStatuses?: readonly { restartCount: number }[];
    initContainerStatuses?: readonly { restartCount: number }[];
  };
  const restarts = [...containerStatuses, ...initContainerStatuses].reduce(
    (sum, { restartCount }) => sum + restartCount,
    0,
  );
  return { uid: metadata?.uid ?? "", ip: podIP, restarts };
}

/** A sample of the proxy's metrics without labels. */
export async function proxyMetric(podIp: string, name: string): Promise<number> {
  const text = await (await fetch(`http://${podIp}:5441/metrics`)).text();
  const value = new RegExp(`^ctrlmesh_proxy_${name} (\\S+)$`, "m").exec(text)?.[1];
  assert.ok(value !== undefined, `the proxy has no metric ${name}`);
  return Number(value);
}

export async function deleteShard(mesh: Mesh, name: string): Promise<void> {
  await mesh.client.delete(kinds.shardingConfigs, { namespace: operatorNamespace, name }, { signal: never });
}
