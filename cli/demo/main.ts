import type { KubernetesObject } from "#api/meta";
import { annotations } from "#api/names";
import { optionalText, port, toggle } from "#runtime/setting-types";
import type { Environment } from "#runtime/settings";
import { settingsOrHelp } from "#runtime/settings";
import { copyKubeconfig } from "../kubeconfig-file.ts";
import { Progress } from "../progress.ts";
import { applyAll, readManifests } from "./manifests.ts";
import { operatorName, operatorNamespace, provePhase, type ShardView, shardsReady } from "./phases.ts";
import { type DemoReport, type PhaseReport, phaseReport, printReport } from "./print.ts";
import { compareOwners, type Proof } from "./proof.ts";
import { installKinds, namespaceObject, openStage, type Stage, startManager } from "./stage.ts";

export const demoSettings = {
  json: toggle({ description: "print the result as JSON on standard output", default: false }),
  keep: toggle({ description: "leave everything running until Ctrl-C", default: false }),
  port: port({ description: "port of the embedded API server; 0 takes any free one", default: 0 }),
  kubeconfigFile: optionalText({ description: "write the administrator's kubeconfig to this file" }, "FILE"),
};

const namespaces = Array.from({ length: 12 }, (_, index) => `team-${String(index + 1).padStart(2, "0")}`);
const objectsPerNamespace = 5;
const phaseLimitMs = 20_000;
const readyLimitMs = 45_000;

/**
 * The demo: an embedded cluster, two ShardingConfigs, an operator with two pods, the proof that each object has one
 * owner, a move of two namespaces, and the proof again. Resolves with 0 when both proofs hold, else 1.
 */
export async function runDemo(argv: readonly string[], env: Environment): Promise<number> {
  const settings = await settingsOrHelp({
    command: "ctrlmesh demo",
    about: "Shards an example operator on an embedded cluster and proves that each object has one owner.",
    table: demoSettings,
    argv,
    env,
  });
  if (settings === undefined) return 0;
  const { json, keep, port: apiPort, kubeconfigFile } = settings;
  const interrupted = new AbortController();
  const stop = (): void => interrupted.abort(new Error("interrupted"));
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  const progress = new Progress((text) => process.stderr.write(text));
  try {
    await using stack = new AsyncDisposableStack();
    const stage = stack.use(await progress.step("embedded cluster is up", () => openStage(apiPort)));
    if (kubeconfigFile !== undefined) copyKubeconfig(stage.cluster.kubeconfig, kubeconfigFile);
    const report = await play(stage, stack, progress, interrupted.signal);
    process.stdout.write(json ? `${JSON.stringify(report, null, 2)}\n` : printReport(report));
    if (keep) await keepRunning(kubeconfigFile ?? stage.cluster.kubeconfig, interrupted.signal);
    return report.exactlyOneOwner ? 0 : 1;
  } catch (error) {
    if (interrupted.signal.aborted) return 130;
    throw error;
  } finally {
    process.off("SIGINT", stop);
    process.off("SIGTERM", stop);
  }
}

async function play(
  stage: Stage,
  stack: AsyncDisposableStack,
  progress: Progress,
  signal: AbortSignal,
): Promise<DemoReport> {
  const { client } = stage;
  await progress.step("our kinds and the manager's rights are applied", () => installKinds(stage, signal));
  stack.use(await progress.step("manager is ready", () => startManager(stage, signal)));
  await progress.step(
    `namespace ${operatorNamespace} is opted in, ${namespaces.length} team namespaces exist`,
    () => createNamespaces(stage, signal),
  );
  const objects = await progress.step(`${namespaces.length * objectsPerNamespace} objects exist`, () =>
    createObjects(stage, signal),
  );
  await progress.step("two ShardingConfigs and the operator are applied", async () => {
    await applyAll(client, readManifests("examples/demo/sharding-before.yaml"), signal);
    await applyAll(client, readManifests("examples/demo/operator.yaml"), signal);
  });
  const before = await phase("before the move", stage, objects, progress, signal);
  await progress.step("two namespaces move from digest-a to digest-b: ShardingConfigs applied", () =>
    applyAll(client, readManifests("examples/demo/sharding-after.yaml"), signal),
  );
  const after = await phase("after the move", stage, objects, progress, signal);
  const phases = [before.report, after.report];
  return {
    exactlyOneOwner: phases.every(({ exactlyOneOwner }) => exactlyOneOwner),
    phases,
    objects: { total: objects.length, ...compareOwners(before.proof, after.proof) },
    seconds: progress.seconds,
  };
}

async function phase(
  name: string,
  { client }: Stage,
  objects: readonly string[],
  progress: Progress,
  signal: AbortSignal,
): Promise<{ readonly report: PhaseReport; readonly proof: Proof }> {
  const shards: readonly ShardView[] = await progress.step(`${name}: granted and acknowledged`, () =>
    shardsReady({ client, signal, limitMs: readyLimitMs }, (sentence) => progress.note(sentence)),
  );
  const since = new Date();
  const pods = shards.flatMap((shard) => shard.pods);
  const proven = await progress.step(`${name}: operators wrote down what they see`, () =>
    provePhase({ client, signal, limitMs: phaseLimitMs }, { objects, pods, since }),
  );
  return { report: phaseReport(name, shards, proven), proof: proven.proof };
}

async function createNamespaces({ client }: Stage, signal: AbortSignal): Promise<void> {
  await applyAll(client, [operatorNamespace, ...namespaces].map(namespaceObject), signal);
  // The same as: kubectl annotate namespace demo ctrlmesh.kusionstack.io/enable-proxy=true
  await client.patch(
    { group: "", version: "v1", resource: "namespaces", namespaced: false },
    { name: operatorNamespace },
    { type: "merge", body: { metadata: { annotations: { [annotations.enableProxy]: "true" } } } },
    { signal },
  );
}

/** Source ConfigMaps for the operator, some in each team's namespace; returns "namespace/name" of each. */
async function createObjects({ client }: Stage, signal: AbortSignal): Promise<readonly string[]> {
  const sources: KubernetesObject[] = namespaces.flatMap((namespace) =>
    Array.from({ length: objectsPerNamespace }, (_, index) => ({
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: `source-${index + 1}`, namespace, labels: { "example.com/source": "true" } },
      data: { text: `${operatorName} reads this ${index + 1}` },
    })),
  );
  await applyAll(client, sources, signal);
  return sources.map(({ metadata }) => `${metadata?.namespace}/${metadata?.name}`);
}

/** Tells how to look further and waits for Ctrl-C. */
async function keepRunning(kubeconfig: string, signal: AbortSignal): Promise<void> {
  process.stderr.write(
    [
      "",
      "Everything keeps running until Ctrl-C. Look further with:",
      `  export KUBECONFIG=${kubeconfig}`,
      `  kubectl get shardingconfigs -n ${operatorNamespace}`,
      `  kubectl get ownershipledgers -n ${operatorNamespace} -o yaml`,
      `  kubectl get pods -n ${operatorNamespace}`,
      `  kubectl logs -n ${operatorNamespace} ${operatorName}-0`,
      "",
    ].join("\n"),
  );
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
