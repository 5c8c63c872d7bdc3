import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { CtrlmeshError } from "#api/errors";
import { identify, isAlive, type ProcessIdentity } from "../process-identity.ts";
import { addressPlan, freeIndex, interfaceName } from "./address-plan.ts";
import { boot } from "./boot.ts";
import { makeCgroup, removeCgroup } from "./cgroups.ts";
import { writeClusterFiles } from "./files.ts";
import {
  isPlugged,
  networkOf,
  pluggedIndexes,
  plugIn,
  processesIn,
  removeIdleBridge,
  unplug,
} from "./host-network.ts";
import { pauseProgram } from "./images.ts";
import { withMachineLock } from "./machine-lock.ts";
import { startInit } from "./namespaces.ts";
import type { PartFacts } from "./parts.ts";
import {
  type BootOptions,
  type ClusterRecord,
  clusterDirectory,
  foldersWithoutRecord,
  readRecord,
  readRecords,
  removeFolder,
  stateOf,
  writeRecord,
} from "./record.ts";

/** The life of clusters: each step is written down before it is taken, so that any later process can undo it. */

const lockName = "clusters";
const pollMs = 20;
const endTimeoutMs = 60_000;

export interface NewCluster {
  readonly name: string;
  readonly version: string;
  readonly options: BootOptions;
  /** Whether it ends with this process; otherwise from its first readiness on it lives until it is taken down. */
  readonly isOwned: boolean;
}

/**
 * Makes a cluster and boots it. What fails leaves nothing behind.
 *
 * @throws INVALID_SETTING when there is one of this name; what `boot` throws
 */
export async function createCluster({ name, version, options, isOwned }: NewCluster): Promise<ClusterRecord> {
  const self = thisProcess();
  const record = await withMachineLock(lockName, async () => {
    await sweepLocked();
    if (readRecord(name) !== undefined)
      throw new CtrlmeshError("INVALID_SETTING", { what: `there is a cluster "${name}" already` });
    const index = freeIndex([...readRecords().map((each) => each.index), ...pluggedIndexes()]);
    if (index === undefined) throw new CtrlmeshError("INTERNAL", { what: "all addresses are taken" });
    const id = randomBytes(4).toString("hex");
    const cgroup = `ctrlmesh-${name}-${id}`;
    const cable = interfaceName(index, id);
    const made = { name, version, index, cgroup, cable, options, owner: self, booter: self, parts: {} };
    writeRecord(made);
    return made;
  });
  try {
    await writeClusterFiles(partFacts(record), name);
    return await bootCluster(record, isOwned);
  } catch (error) {
    await removeCluster(record);
    throw error;
  }
}

/**
 * Boots a stopped cluster with the state that it had.
 *
 * @throws INVALID_SETTING when there is none of this name, or it is not stopped; what `boot` throws
 */
export async function startCluster(name: string): Promise<ClusterRecord> {
  const record = await withMachineLock(lockName, async () => {
    await sweepLocked();
    const stopped = requireCluster(name);
    const state = stateOf(stopped, isAlive);
    if (state !== "stopped")
      throw new CtrlmeshError("INVALID_SETTING", { what: `cluster "${name}" is ${state}` });
    if (pluggedIndexes().includes(stopped.index))
      throw new CtrlmeshError("INVALID_SETTING", {
        what: `the address of cluster "${name}" is in use, by a cluster of another CTRLMESH_CACHE`,
      });
    const booting = { ...stopped, booter: thisProcess() };
    writeRecord(booting);
    return booting;
  });
  try {
    return await bootCluster(record, record.owner !== undefined);
  } catch (error) {
    await stopCluster(record.name);
    throw error;
  }
}

/** Ends all processes of a cluster and keeps its state. One that is stopped already stays as it is. */
export async function stopCluster(name: string): Promise<ClusterRecord> {
  return await withMachineLock(lockName, () => halt(requireCluster(name)));
}

/** Removes all of a cluster. */
export async function removeCluster({ name }: Pick<ClusterRecord, "name">): Promise<void> {
  await withMachineLock(lockName, async () => {
    const record = readRecord(name);
    if (record !== undefined) await removeLocked(record);
    removeIdleBridge();
  });
}

/** All clusters, after what crashed processes have left is removed. */
export async function listClusters(): Promise<ClusterRecord[]> {
  return await withMachineLock(lockName, async () => {
    await sweepLocked();
    return readRecords();
  });
}

/** @throws INVALID_SETTING when there is none of this name */
export function requireCluster(name: string): ClusterRecord {
  const record = readRecord(name);
  if (record !== undefined) return record;
  const names = readRecords().map((each) => each.name);
  throw new CtrlmeshError("INVALID_SETTING", {
    what: `there is no cluster "${name}"`,
    hint: names.length === 0 ? "there is none at all" : `there are: ${names.join(", ")}`,
  });
}

export function partFacts({ name, version, index, cgroup, options }: ClusterRecord): PartFacts {
  return {
    nodeName: `${name}-1`,
    directory: clusterDirectory(name),
    plan: addressPlan(index),
    cgroup,
    version,
    options,
  };
}

/** Writes down which process a part is now. */
export function recordPart(clusterName: string, part: string, identity: ProcessIdentity): void {
  const record = requireCluster(clusterName);
  writeRecord({ ...record, parts: { ...record.parts, [part]: identity } });
}

/** A cluster that is owned ends with this process, and one whose boot does not end does so, too. */
async function bootCluster({ name }: ClusterRecord, isOwned: boolean): Promise<ClusterRecord> {
  const init = await withMachineLock(lockName, async () => {
    const record = requireCluster(name);
    const pending = await startInit(pauseProgram(), join(clusterDirectory(name), "log", "init.log"));
    const network = networkOf(pending.identity.pid);
    if (network === undefined) throw new CtrlmeshError("INTERNAL", { what: "init has no network" });
    writeRecord({ ...record, init: pending.identity, network, parts: {} });
    makeCgroup(record.cgroup);
    plugIn(addressPlan(record.index), record.cable, pending.identity.pid);
    pending.release();
    return pending;
  });
  const facts = partFacts(requireCluster(name));
  await boot({ ...facts, init: init.identity, onPart: (part, identity) => recordPart(name, part, identity) });
  const { booter: _, owner, ...booted } = requireCluster(name);
  const running = isOwned && owner !== undefined ? { ...booted, owner } : booted;
  writeRecord(running);
  if (!isOwned) init.keep();
  return running;
}

/**
 * Under the lock: removes what has no owner any more, and ends what nobody boots any more. What resists stays
 * written down, and the next sweep tries again: it is no reason to refuse work on other clusters. Whoever takes it
 * down by name is told why it stays.
 */
async function sweepLocked(): Promise<void> {
  for (const name of foldersWithoutRecord()) removeFolder(name);
  const sweep = async (record: ClusterRecord): Promise<void> => {
    const state = stateOf(record, isAlive);
    if (state === "orphaned") await removeLocked(record);
    if (state === "interrupted") await halt(record);
  };
  await Promise.allSettled(readRecords().map(sweep));
  if (process.getuid?.() === 0) removeIdleBridge();
}

async function removeLocked(record: ClusterRecord): Promise<void> {
  await halt(record);
  removeFolder(record.name);
}

async function halt(record: ClusterRecord): Promise<ClusterRecord> {
  const { init, network: __, booter: _, ...stopped } = record;
  if (init !== undefined && isAlive(init)) {
    // etcd's and containerd's files bear it: what they have written, the kernel has.
    process.kill(init.pid, "SIGKILL");
    await until(`the end of init of cluster "${record.name}"`, () => !isAlive(init));
  }
  await endNetwork(record);
  await until(`the control groups of cluster "${record.name}" are empty`, () => removeCgroup(record.cgroup));
  const halted = { ...stopped, parts: {} };
  writeRecord(halted);
  return halted;
}

/**
 * A program of this machine that was started in the node's network, and not in its other namespaces, keeps that
 * alive. While the cable is there the namespace is, and its number is no other one's. Connections that their
 * programs have left keep it too, for minutes, but not the cable.
 */
async function endNetwork({ name, network, cable }: ClusterRecord): Promise<void> {
  await until(`the end of what is in the network of cluster "${name}"`, () => {
    if (network === undefined || !isPlugged(cable)) return true;
    const left = processesIn(network).filter(isAlive);
    for (const { pid } of left) process.kill(pid, "SIGKILL");
    return left.length === 0;
  });
  unplug(cable);
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = performance.now() + endTimeoutMs;
  while (!holds()) {
    if (performance.now() > deadline) throw new CtrlmeshError("TIMEOUT", { what: `not in time: ${what}` });
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

function thisProcess(): ProcessIdentity {
  const self = identify(process.pid);
  if (self === undefined)
    throw new CtrlmeshError("INTERNAL", { what: "this system has no /proc to know processes by" });
  return self;
}
