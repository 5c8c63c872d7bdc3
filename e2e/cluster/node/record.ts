import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { FeatureGates } from "../feature-gates.ts";
import type { ProcessIdentity } from "../process-identity.ts";
import { cacheDirectory } from "../versions.ts";

/** What a cluster is booted with, each time. */
export interface BootOptions {
  /** Of kube-apiserver. */
  readonly featureGates: FeatureGates;
  /** More arguments of kube-apiserver. */
  readonly apiserverArgs: readonly string[];
  /** More arguments of kube-controller-manager. */
  readonly controllerManagerArgs: readonly string[];
  /** Whether kube-apiserver writes an audit log. */
  readonly audit: boolean;
}

/** One cluster as it is written down, before each step that makes something. */
export interface ClusterRecord {
  readonly name: string;
  /** Kubernetes version without the "v". */
  readonly version: string;
  /** Its place in the address plan. */
  readonly index: number;
  /** Its control groups, unique on this machine. */
  readonly cgroup: string;
  /** This machine's end of its cable, likewise. */
  readonly cable: string;
  readonly options: BootOptions;
  /** The process that it is to end with, state included. Absent: it lives until it is taken down. */
  readonly owner?: ProcessIdentity;
  /** The process that boots it now. */
  readonly booter?: ProcessIdentity;
  /** Holds all namespaces; absent while the cluster is stopped. */
  readonly init?: ProcessIdentity;
  /** The network namespace that init holds, "net:[NUMBER]". */
  readonly network?: string;
  /** Parts by name as they were last started. */
  readonly parts: Readonly<Record<string, ProcessIdentity>>;
}

/**
 * - `running`: it was booted, and its init lives;
 * - `booting`: a living process boots it;
 * - `stopped`: nothing of it runs, its state is kept;
 * - `interrupted`: whoever booted it is gone, or its init has ended by itself: what runs is to be ended, its state
 *   is kept;
 * - `orphaned`: its owner has ended: nothing of it is to stay.
 */
export type ClusterState = "running" | "booting" | "stopped" | "interrupted" | "orphaned";

export function stateOf(
  { owner, booter, init }: ClusterRecord,
  isAlive: (process: ProcessIdentity) => boolean,
): ClusterState {
  if (owner !== undefined && !isAlive(owner)) return "orphaned";
  if (booter !== undefined) return isAlive(booter) ? "booting" : "interrupted";
  if (init === undefined) return "stopped";
  return isAlive(init) ? "running" : "interrupted";
}

/** Each cluster has a folder here. */
export function clustersDirectory(): string {
  return join(cacheDirectory, "clusters");
}

export function clusterDirectory(name: string): string {
  return join(clustersDirectory(), name);
}

/** Undefined when there is no such cluster. */
export function readRecord(name: string): ClusterRecord | undefined {
  const path = recordPath(name);
  // Written by writeRecord only.
  return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as ClusterRecord) : undefined;
}

/** All clusters, by name. */
export function readRecords(): ClusterRecord[] {
  return folders().flatMap((name) => readRecord(name) ?? []);
}

/** Names of folders that hold no record: whoever made them ended before it made anything else. */
export function foldersWithoutRecord(): string[] {
  return folders().filter((name) => !existsSync(recordPath(name)));
}

export function writeRecord(record: ClusterRecord): void {
  const path = recordPath(record.name);
  mkdirSync(clusterDirectory(record.name), { recursive: true });
  writeFileSync(`${path}.partial`, JSON.stringify(record, undefined, 2));
  renameSync(`${path}.partial`, path);
}

/** Removes a cluster's folder; the record goes last, so that a removal that is cut short is gone on with. */
export function removeFolder(name: string): void {
  const folder = clusterDirectory(name);
  if (!existsSync(folder)) return;
  for (const entry of readdirSync(folder))
    if (entry !== recordName) rmSync(join(folder, entry), { recursive: true, force: true });
  rmSync(folder, { recursive: true, force: true });
}

const recordName = "cluster.json";

function recordPath(name: string): string {
  return join(clusterDirectory(name), recordName);
}

function folders(): string[] {
  if (!existsSync(clustersDirectory())) return [];
  const entries = readdirSync(clustersDirectory(), { withFileTypes: true });
  return entries.flatMap((entry) => (entry.isDirectory() ? [entry.name] : [])).sort();
}
