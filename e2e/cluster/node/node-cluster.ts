import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { CtrlmeshError } from "#api/errors";
import { readAuditLog } from "../audit.ts";
import { checkFeatureGates, type FeatureGates } from "../feature-gates.ts";
import { type Kubectl, type KubectlOutput, kubectl } from "../kubectl.ts";
import { isAlive, type ProcessIdentity } from "../process-identity.ts";
import { kubernetesVersion } from "../versions.ts";
import { addressPlan, type DualStack } from "./address-plan.ts";
import { type BootFacts, startApiServer } from "./boot.ts";
import {
  createCluster,
  partFacts,
  recordPart,
  removeCluster,
  startCluster,
  stopCluster,
} from "./clusters.ts";
import { adminOf, apiServerUrl } from "./files.ts";
import { loadImage } from "./image-store.ts";
import { inNetworkOf } from "./namespaces.ts";
import { auditLogPath, type PartName } from "./parts.ts";
import { type ClusterRecord, clusterDirectory, readRecord } from "./record.ts";
import { requireNodeParts } from "./requirements.ts";

export interface NodeClusterOptions {
  /** Lower-case letters, digits and dashes, up to 20. Default: one that nobody has. */
  readonly name?: string;
  /** Kubernetes version without the "v"; it must be built. Default: the newest that the tests run. */
  readonly version?: string;
  /** Of kube-apiserver. */
  readonly featureGates?: FeatureGates;
  /** More arguments of kube-apiserver. */
  readonly apiserverArgs?: readonly string[];
  /** More arguments of kube-controller-manager. */
  readonly controllerManagerArgs?: readonly string[];
  /** Whether kube-apiserver writes an audit log, at level Metadata. Default false. */
  readonly audit?: boolean;
}

/** The one node of a cluster, and the addresses that it gives out. */
export interface NodeFacts extends DualStack {
  readonly name: string;
  readonly podRanges: DualStack;
  readonly serviceRanges: DualStack;
  /** Of the Service `kubernetes`. */
  readonly apiServerService: string;
  /** Of the Service `kube-dns`. */
  readonly dns: DualStack;
}

/**
 * A whole cluster of one node, in namespaces of its own. It ends with its object, and at the latest with the process,
 * however that ends; what is then left of it on disk is removed by the next command or test.
 */
export interface NodeCluster extends AsyncDisposable {
  readonly name: string;
  readonly version: string;
  /** Of the API server; this machine reaches it. */
  readonly url: string;
  /** Path of the kubeconfig of an admin of system:masters. */
  readonly kubeconfig: string;
  readonly caPem: string;
  /** Folder of `ca.crt`, `ca.key`, `apiserver.crt`, `apiserver.key` and the others. */
  readonly certificateDirectory: string;
  /** Folder that holds logs, keys and data; removed at the end. */
  readonly directory: string;
  /** Written when `audit` was asked for. */
  readonly auditLogPath: string;
  readonly node: NodeFacts;
  /** A kubectl of this or another built version. */
  kubectl(version?: string): Kubectl;
  /**
   * Puts an image archive (OCI layout or docker-archive) into the node. Pods name it with `imagePullPolicy: Never`
   * or `IfNotPresent`.
   *
   * @returns the names of the images in it
   * @throws CHILD_PROCESS_FAILED with what containerd said of the archive
   */
  loadImage(archive: string): Promise<string[]>;
  /** Runs a program of this machine in the node's network, to its end. */
  exec(command: readonly string[], stdin?: string): Promise<KubectlOutput>;
  /** Process id of a part, to stop and continue it; undefined while it does not run. */
  pidOf(part: PartName): number | undefined;
  /** The audit log so far. */
  auditEvents(): unknown[];
  /**
   * Ends kube-apiserver and starts it again, on the same address and with the same etcd.
   *
   * @param signal SIGKILL (default): connections are cut; SIGTERM: it ends requests and watches in good order
   */
  restartApiServer(signal?: "SIGKILL" | "SIGTERM"): Promise<void>;
  /** Ends kube-apiserver, until `startApiServer`. */
  stopApiServer(signal?: "SIGKILL" | "SIGTERM"): Promise<void>;
  startApiServer(): Promise<void>;
  /** Ends everything and keeps the state, as a machine that is switched off. */
  stop(): Promise<void>;
  /** Boots with the state that was kept. */
  start(): Promise<void>;
}

/**
 * Boots a whole cluster: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubelet, kube-proxy,
 * containerd and CoreDNS, dual stack. Resolves when the node is ready and cluster DNS answers.
 *
 * @throws FILE_UNREADABLE when a part is not built, or without root; INVALID_SETTING for a name that is taken or a
 *   feature gate that this version does not know; TIMEOUT with the end of a log when something does not get ready
 */
export async function startNodeCluster(options: NodeClusterOptions = {}): Promise<NodeCluster> {
  const { name = `test-${randomBytes(4).toString("hex")}`, version = kubernetesVersion } = options;
  const record = await createNodeCluster({ ...options, name, version }, true);
  return { ...nodeCluster(record), [Symbol.asyncDispose]: () => removeCluster({ name }) };
}

/**
 * Makes a cluster that ends with this process, or one that stays.
 *
 * @throws as `startNodeCluster`
 */
export async function createNodeCluster(
  options: NodeClusterOptions & { readonly name: string },
  isOwned: boolean,
): Promise<ClusterRecord> {
  const { name, version = kubernetesVersion, featureGates = {}, audit = false } = options;
  const { apiserverArgs = [], controllerManagerArgs = [] } = options;
  checkName(name);
  requireNodeParts(version);
  checkFeatureGates(version, featureGates);
  const boot = { featureGates, apiserverArgs, controllerManagerArgs, audit };
  return await createCluster({ name, version, options: boot, isOwned });
}

/** @throws INVALID_SETTING for what can't be part of names of interfaces, control groups and nodes */
export function checkName(name: string): void {
  if (/^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$/.test(name)) return;
  throw new CtrlmeshError("INVALID_SETTING", {
    what: `"${name}" is no name of a cluster`,
    hint: "up to 20 lower-case letters, digits, and dashes between them",
  });
}

/** Path of the admin's kubeconfig. */
export function kubeconfigOf({ name }: Pick<ClusterRecord, "name">): string {
  return join(clusterDirectory(name), "admin.kubeconfig");
}

/** @throws INVALID_SETTING when it does not run */
export function initOf({ name }: Pick<ClusterRecord, "name">): ProcessIdentity {
  const init = readRecord(name)?.init;
  if (init === undefined || !isAlive(init))
    throw new CtrlmeshError("INVALID_SETTING", { what: `cluster "${name}" does not run` });
  return init;
}

/** What can be done with a cluster that was booted, by this process or another. */
function nodeCluster(record: ClusterRecord): Omit<NodeCluster, typeof Symbol.asyncDispose> {
  const { name, version } = record;
  const facts = partFacts(record);
  const { directory, nodeName } = facts;
  const plan = addressPlan(record.index);
  const bootFacts = (): BootFacts => ({
    ...facts,
    init: initOf(record),
    onPart: (part, identity) => recordPart(name, part, identity),
  });
  const stopApiServer = async (signal: "SIGKILL" | "SIGTERM" = "SIGKILL"): Promise<void> => {
    const part = readRecord(name)?.parts["kube-apiserver"];
    if (part !== undefined) await end(part, signal);
  };
  return {
    name,
    version,
    url: apiServerUrl(facts),
    kubeconfig: kubeconfigOf(record),
    caPem: adminOf(directory).caPem,
    certificateDirectory: join(directory, "pki"),
    directory,
    auditLogPath: auditLogPath(directory),
    node: {
      name: nodeName,
      ...plan.node,
      podRanges: plan.podRanges,
      serviceRanges: plan.serviceRanges,
      apiServerService: plan.apiServerService,
      dns: plan.dns,
    },
    kubectl: (of = version) => kubectl(kubeconfigOf(record), of),
    loadImage: (archive) => loadImage(initOf(record), archive),
    exec: (command, stdin = "") => run(inNetworkOf(initOf(record), command), stdin),
    pidOf: (part) => {
      const identity = readRecord(name)?.parts[part];
      return identity !== undefined && isAlive(identity) ? identity.pid : undefined;
    },
    auditEvents: () => readAuditLog(auditLogPath(directory)),
    stopApiServer,
    startApiServer: () => startApiServer(bootFacts()),
    restartApiServer: async (signal) => {
      await stopApiServer(signal);
      await startApiServer(bootFacts());
    },
    stop: async () => {
      await stopCluster(name);
    },
    start: async () => {
      await startCluster(name);
    },
  };
}

const pollMs = 20;
/** Longer than kube-apiserver waits for its requests. */
const endTimeoutMs = 90_000;

async function end(identity: ProcessIdentity, signal: "SIGKILL" | "SIGTERM"): Promise<void> {
  if (isAlive(identity)) process.kill(identity.pid, signal);
  const deadline = performance.now() + endTimeoutMs;
  while (isAlive(identity)) {
    if (performance.now() > deadline)
      throw new CtrlmeshError("TIMEOUT", { what: `process ${identity.pid} does not end on ${signal}` });
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

async function run([program = "", ...args]: readonly string[], stdin: string): Promise<KubectlOutput> {
  const child: ChildProcess = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
  const closed = once(child, "close");
  child.stdin?.on("error", () => undefined); // it may end without reading all of it
  child.stdin?.end(stdin);
  const { stdout: out, stderr: err } = child;
  if (out === null || err === null) throw new CtrlmeshError("INTERNAL", { what: "no pipes" });
  const [stdout, stderr] = await Promise.all([text(out), text(err), closed]);
  return { exitCode: child.exitCode ?? -1, stdout, stderr };
}
