import { createHash } from "node:crypto";
import { CoreV1Api, KubeConfig, makeInformer, type V1ConfigMap } from "@kubernetes/client-node";

/**
 * A small operator that knows nothing of ctrlmesh. For each ConfigMap with the label `example.com/source` it
 * keeps a ConfigMap `<name>-digest` beside it that holds a digest of the source's data, and it writes down in
 * its own namespace which sources its cache holds, so that anybody can see what it sees.
 */

const sourceLabel = "example.com/source";
const digestLabel = "example.com/digest-of";
const recordLabel = "example.com/operator-record";
const recordEveryMs = 500;

const podName = process.env.POD_NAME ?? "operator";
const ownNamespace = process.env.POD_NAMESPACE ?? "default";

const config = new KubeConfig();
config.loadFromDefault();
const core = config.makeApiClient(CoreV1Api);

const informer = makeInformer(
  config,
  `/api/v1/configmaps`,
  () => core.listConfigMapForAllNamespaces({ labelSelector: `${sourceLabel}=true` }),
  `${sourceLabel}=true`,
);

const startedAt = new Date().toISOString();
const relists: string[] = [];
const pending = new Map<string, V1ConfigMap>();
let working = false;

informer.on("add", enqueue);
informer.on("update", enqueue);
informer.on("delete", (source) => pending.delete(keyOf(source)));
informer.on("connect", () => relists.push(new Date().toISOString()));
informer.on("error", (error: unknown) => {
  console.error(`watch failed, listing again: ${describe(error)}`);
  setTimeout(() => void informer.start(), 500);
});

function keyOf(object: V1ConfigMap): string {
  return `${object.metadata?.namespace}/${object.metadata?.name}`;
}

function enqueue(source: V1ConfigMap): void {
  pending.set(keyOf(source), source);
  void work();
}

async function work(): Promise<void> {
  if (working) return;
  working = true;
  for (const [key, source] of pending) {
    pending.delete(key);
    try {
      await keepDigest(source);
    } catch (error) {
      console.error(`${key}: ${describe(error)}; trying again`);
      setTimeout(() => enqueue(source), 1000);
    }
  }
  working = false;
}

/** Creates or corrects the digest of one source. */
async function keepDigest(source: V1ConfigMap): Promise<void> {
  const namespace = source.metadata?.namespace ?? "";
  const name = `${source.metadata?.name}-digest`;
  const digest = createHash("sha256")
    .update(JSON.stringify(source.data ?? {}))
    .digest("hex");
  const existing = await core.readNamespacedConfigMap({ name, namespace }).catch((error: unknown) => {
    if (codeOf(error) === 404) return undefined;
    throw error;
  });
  if (existing?.data?.digest === digest) return;
  const body: V1ConfigMap = {
    metadata: { name, namespace, labels: { [digestLabel]: source.metadata?.name ?? "" } },
    data: { digest, writtenBy: podName },
  };
  if (existing === undefined) await core.createNamespacedConfigMap({ namespace, body });
  else {
    const metadata = { ...body.metadata, resourceVersion: existing.metadata?.resourceVersion ?? "" };
    await core.replaceNamespacedConfigMap({ name, namespace, body: { ...body, metadata } });
  }
  console.log(`${namespace}/${name} ${digest.slice(0, 12)}`);
}

/** Writes down what the cache holds now. */
async function writeRecord(): Promise<void> {
  const sources = informer.list().map(keyOf).sort();
  const record = {
    pod: podName,
    startedAt,
    writtenAt: new Date().toISOString(),
    lists: relists.length,
    sources,
  };
  const name = `record-${podName}`;
  const body: V1ConfigMap = {
    metadata: { name, namespace: ownNamespace, labels: { [recordLabel]: "true" } },
    data: { record: JSON.stringify(record) },
  };
  try {
    await core.replaceNamespacedConfigMap({ name, namespace: ownNamespace, body });
  } catch (error) {
    if (codeOf(error) !== 404) throw error;
    await core.createNamespacedConfigMap({ namespace: ownNamespace, body });
  }
}

function codeOf(error: unknown): number | undefined {
  return typeof error === "object" && error !== null && "code" in error ? Number(error.code) : undefined;
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

process.on("SIGTERM", () => {
  void informer.stop().finally(() => process.exit(0));
});

await informer.start().catch((error: unknown) => {
  console.error(`first list failed: ${describe(error)}`);
  process.exit(1);
});
console.log(`${podName} watches ConfigMaps labelled ${sourceLabel}=true`);
for (;;) {
  await writeRecord().catch((error: unknown) => console.error(`record not written: ${describe(error)}`));
  await new Promise((resolve) => setTimeout(resolve, recordEveryMs));
}
