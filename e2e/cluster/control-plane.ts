import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CtrlmeshError } from "#api/errors";
import { ask } from "./api-request.ts";
import { auditPolicy, readAuditLog } from "./audit.ts";
import { checkFeatureGates, type FeatureGates, featureGateArguments } from "./feature-gates.ts";
import { type Credentials, writeKeys, writeKubeconfig } from "./keys.ts";
import { freePort, Processes } from "./processes.ts";
import { etcdBinary, kubernetesBinary, kubernetesVersion, missingBinaries } from "./versions.ts";

export interface ControlPlaneOptions {
  /** Kubernetes version without the "v"; it must be built. Default: the newest that the tests run. */
  readonly version?: string;
  /** How many kube-apiservers share the etcd. Default 1. */
  readonly apiServers?: number;
  /** More arguments of each kube-apiserver. */
  readonly apiserverArgs?: readonly string[];
  readonly featureGates?: FeatureGates;
  /** Start kube-controller-manager too: service accounts, garbage collection, workloads. */
  readonly controllerManager?: boolean;
  /** More arguments of kube-controller-manager. */
  readonly controllerManagerArgs?: readonly string[];
}

/** etcd and real kube-apiservers on loopback, with an admin of system:masters. */
export interface ControlPlane extends AsyncDisposable {
  readonly version: string;
  /** Of the first API server; the kubeconfig and kube-controller-manager use it. */
  readonly url: string;
  /** Of each API server, in the order of their start. All have the same certificate and know the same tokens. */
  readonly urls: readonly string[];
  /** Path of the admin's kubeconfig. */
  readonly kubeconfig: string;
  readonly caPem: string;
  /** Folder that holds logs, keys and data; removed at the end. */
  readonly directory: string;
  /** Where the API servers reach etcd, and what tests of the stored state ask. */
  readonly etcdUrl: string;
  /** Process ids of all that runs now. */
  pids(): number[];
  /** Process id of one API server, to stop and continue it; undefined while it does not run. */
  apiServerPid(index: number): number | undefined;
  /**
   * The audit log so far, of one API server after the other, at level Metadata. Each request is there at its end
   * (stage ResponseComplete), a watch at its start too (ResponseStarted): one that SIGKILL cuts has no end.
   */
  auditEvents(): unknown[];
  /**
   * Ends one kube-apiserver and starts it again on the same port with the same etcd.
   *
   * @param index of its URL in `urls`; default 0
   * @param signal SIGKILL (default): connections are cut; SIGTERM: it ends requests and watches in good order
   */
  restartApiServer(index?: number, signal?: "SIGKILL" | "SIGTERM"): Promise<void>;
}

const startTimeoutMs = 60_000;

/**
 * Boots a control plane. Everything it makes lies in one temporary folder.
 *
 * @throws FILE_UNREADABLE when a binary is not built; INVALID_SETTING for a feature gate that this version does
 *   not know; TIMEOUT when an API server is not ready within 60 s, with the end of its log
 */
export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const { version = kubernetesVersion, apiServers: count = 1, featureGates = {} } = options;
  requireBinaries(version);
  checkFeatureGates(version, featureGates);
  await using stack = new AsyncDisposableStack();
  const directory = mkdtempSync(join(tmpdir(), "ctrlmesh-control-plane-"));
  stack.defer(() => rmSync(directory, { recursive: true, force: true }));
  const processes = new Processes(join(directory, "log"));
  stack.defer(() => processes.stopAll());

  const { admin } = await writeKeys(directory);
  writeFileSync(join(directory, "audit-policy.yaml"), auditPolicy);
  const etcdUrl = await startEtcd(processes, directory);
  const ports = await Promise.all(Array.from({ length: count }, freePort));
  const urls = ports.map((port) => `https://127.0.0.1:${port}`);
  const startApiServer = async (index: number): Promise<void> => {
    const name = apiServerName(index);
    const args = apiServerArguments({ directory, etcdUrl, port: ports[index] ?? 0, index, options });
    processes.start(name, kubernetesBinary("kube-apiserver", version), args);
    await ready({ name, url: urls[index] ?? "" }, admin, processes);
  };
  // One after the other: the first one makes what they share.
  for (const index of urls.keys()) await startApiServer(index);
  const url = urls[0] ?? "";
  const kubeconfig = writeKubeconfig(directory, url, admin);
  if (options.controllerManager === true)
    startControllerManager(processes, {
      directory,
      kubeconfig,
      version,
      args: options.controllerManagerArgs,
    });
  const running = stack.move();
  return {
    version,
    url,
    urls,
    kubeconfig,
    caPem: admin.caPem,
    directory,
    etcdUrl,
    pids: () => processes.pids(),
    apiServerPid: (index) => processes.pidOf(apiServerName(index)),
    auditEvents: () => urls.flatMap((_, index) => readAuditLog(auditLog(directory, index))),
    restartApiServer: async (index = 0, signal = "SIGKILL") => {
      await processes.stop(apiServerName(index), signal);
      await startApiServer(index);
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

function requireBinaries(version: string): void {
  const missing = missingBinaries([version]);
  if (missing.length === 0) return;
  throw new CtrlmeshError("FILE_UNREADABLE", {
    what: `Kubernetes ${version} is not built: ${missing.join(", ")}`,
    hint: `npm run cluster -- build --version ${version}`,
  });
}

function apiServerName(index: number): string {
  return index === 0 ? "kube-apiserver" : `kube-apiserver-${index}`;
}

function auditLog(directory: string, index: number): string {
  return join(directory, index === 0 ? "audit.log" : `audit-${index}.log`);
}

async function startEtcd(processes: Processes, directory: string): Promise<string> {
  const [client, peer] = (await Promise.all([freePort(), freePort()])).map(
    (port) => `http://127.0.0.1:${port}`,
  );
  processes.start("etcd", etcdBinary(), [
    `--data-dir=${directory}/etcd`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=default=${peer}`,
    "--unsafe-no-fsync",
  ]);
  return client ?? "";
}

interface ApiServerFacts {
  readonly directory: string;
  readonly etcdUrl: string;
  readonly port: number;
  readonly index: number;
  readonly options: ControlPlaneOptions;
}

function apiServerArguments({ directory, etcdUrl, port, index, options }: ApiServerFacts): string[] {
  return [
    `--etcd-servers=${etcdUrl}`,
    "--bind-address=127.0.0.1",
    `--secure-port=${port}`,
    `--tls-cert-file=${directory}/apiserver.crt`,
    `--tls-private-key-file=${directory}/apiserver.key`,
    `--client-ca-file=${directory}/ca.crt`,
    `--service-account-key-file=${directory}/sa.pub`,
    `--service-account-signing-key-file=${directory}/sa.key`,
    "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
    "--service-cluster-ip-range=10.96.0.0/16",
    "--authorization-mode=Node,RBAC",
    "--allow-privileged=true",
    `--audit-policy-file=${directory}/audit-policy.yaml`,
    `--audit-log-path=${auditLog(directory, index)}`,
    "--audit-log-mode=blocking-strict",
    ...featureGateArguments(options.featureGates ?? {}),
    ...(options.apiserverArgs ?? []),
  ];
}

interface ControllerManagerFacts {
  readonly directory: string;
  readonly kubeconfig: string;
  readonly version: string;
  readonly args: readonly string[] | undefined;
}

function startControllerManager(processes: Processes, facts: ControllerManagerFacts): void {
  const { directory, kubeconfig, version, args = [] } = facts;
  processes.start("kube-controller-manager", kubernetesBinary("kube-controller-manager", version), [
    `--kubeconfig=${kubeconfig}`,
    `--service-account-private-key-file=${directory}/sa.key`,
    `--root-ca-file=${directory}/ca.crt`,
    "--leader-elect=false",
    "--secure-port=0",
    ...args,
  ]);
}

async function ready(
  { name, url }: { readonly name: string; readonly url: string },
  admin: Credentials,
  processes: Processes,
): Promise<void> {
  const deadline = performance.now() + startTimeoutMs;
  while (performance.now() < deadline && processes.isRunning(name)) {
    if ((await ask(`${url}/readyz`, admin)).status === 200) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new CtrlmeshError("TIMEOUT", {
    what: `${name} is not ready: ${processes.logOf(name).slice(-1500)}`,
  });
}
