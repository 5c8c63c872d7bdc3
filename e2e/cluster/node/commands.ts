import { spawn } from "node:child_process";
import { once } from "node:events";
import { CtrlmeshError } from "#api/errors";
import type { Command } from "../command-line.ts";
import { isAlive } from "../process-identity.ts";
import { kubernetesBinary } from "../versions.ts";
import {
  listClusters,
  partFacts,
  removeCluster,
  requireCluster,
  startCluster,
  stopCluster,
} from "./clusters.ts";
import { apiServerUrl } from "./files.ts";
import { loadImage } from "./image-store.ts";
import { createNodeCluster, initOf, kubeconfigOf } from "./node-cluster.ts";
import { type ClusterRecord, type ClusterState, clusterDirectory, stateOf } from "./record.ts";

/** What the command line says of a cluster. */
export interface ClusterSummary {
  readonly name: string;
  readonly version: string;
  readonly state: ClusterState;
  readonly url: string;
  readonly kubeconfig: string;
  readonly directory: string;
  /** Whether it ends with the process that made it. */
  readonly isOwned: boolean;
}

/** All clusters, after what crashed processes have left is removed. */
export async function summaries(): Promise<ClusterSummary[]> {
  return (await listClusters()).map(summaryOf);
}

export function lineOf({ name, version, state, url, kubeconfig }: ClusterSummary): string {
  return [name, version, state, url, kubeconfig].join(" ");
}

export async function up(command: Command): Promise<number> {
  const { cluster: name, featureGates, apiserverArgs, audit, versions } = command;
  const present = (await listClusters()).find((each) => each.name === name);
  if (present === undefined) {
    const [version] = versions;
    const options = {
      name,
      featureGates,
      apiserverArgs,
      audit,
      ...(version === undefined ? {} : { version }),
    };
    tell(command, await createNodeCluster(options, false));
    return 0;
  }
  if (versions.length > 0 && versions[0] !== present.version)
    throw new CtrlmeshError("INVALID_SETTING", {
      what: `cluster "${name}" is of version ${present.version}`,
      hint: `npm run cluster -- down ${name}`,
    });
  tell(command, stateOf(present, isAlive) === "running" ? present : await startCluster(name));
  return 0;
}

export async function start(command: Command): Promise<number> {
  tell(command, await startCluster(command.cluster));
  return 0;
}

export async function stop(command: Command): Promise<number> {
  const record = await stopCluster(command.cluster);
  if (command.output === "json") console.log(JSON.stringify(summaryOf(record)));
  return 0;
}

export async function load({ cluster, archive, output }: Command): Promise<number> {
  const names = await loadImage(initOf(requireCluster(cluster)), archive);
  console.log(output === "json" ? JSON.stringify({ images: names }) : names.join("\n"));
  return 0;
}

/** @returns kubectl's exit code */
export async function runKubectl({ cluster, kubectlArgs }: Command): Promise<number> {
  const record = requireCluster(cluster);
  const child = spawn(kubernetesBinary("kubectl", record.version), kubectlArgs, {
    stdio: "inherit",
    env: { ...process.env, KUBECONFIG: kubeconfigOf(record) },
  });
  await once(child, "close");
  return child.exitCode ?? 1;
}

export async function down({ cluster, all, output }: Command): Promise<number> {
  const present = await listClusters();
  const doomed = all ? present.filter(({ owner }) => owner === undefined) : [requireCluster(cluster)];
  for (const record of doomed) await removeCluster(record);
  if (output === "json") console.log(JSON.stringify({ removed: doomed.map(({ name }) => name) }));
  return 0;
}

function tell({ output }: Command, record: ClusterRecord): void {
  const summary = summaryOf(record);
  console.log(output === "json" ? JSON.stringify(summary) : summary.kubeconfig);
}

function summaryOf(record: ClusterRecord): ClusterSummary {
  const { name, version, owner } = record;
  return {
    name,
    version,
    state: stateOf(record, isAlive),
    url: apiServerUrl(partFacts(record)),
    kubeconfig: kubeconfigOf(record),
    directory: clusterDirectory(name),
    isOwned: owner !== undefined,
  };
}
