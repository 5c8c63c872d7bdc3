import { type ChildProcess, spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CtrlmeshError } from "#api/errors";
import { createAuthority, issueCertificate } from "#runtime/x509";
import { etcdBinary, kubernetesBinary } from "./versions.ts";

export interface ControlPlaneOptions {
  /** More arguments of kube-apiserver. */
  readonly apiserverArgs?: readonly string[];
  readonly featureGates?: Readonly<Record<string, boolean>>;
  /** Start kube-controller-manager too: service accounts, garbage collection, workloads. */
  readonly controllerManager?: boolean;
}

/** etcd and a real kube-apiserver on loopback, with an admin of system:masters. */
export interface ControlPlane extends AsyncDisposable {
  readonly url: string;
  /** Path of the admin's kubeconfig. */
  readonly kubeconfig: string;
  readonly caPem: string;
  /** Folder that holds logs, keys and data; removed at the end. */
  readonly directory: string;
  /** The audit log so far: one event a line was written (level Metadata, stage ResponseComplete). */
  auditEvents(): unknown[];
  /** Kills kube-apiserver and starts it again on the same port with the same etcd. */
  restartApiServer(): Promise<void>;
}

const startTimeoutMs = 60_000;

/**
 * Boots a control plane. Everything it makes lies in one temporary folder.
 *
 * @throws TIMEOUT when the API server is not ready within 60 s, with the end of its log
 */
export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const directory = mkdtempSync(join(tmpdir(), "ctrlmesh-control-plane-"));
  const processes = new Processes(join(directory, "log"));
  const [etcdClient, etcdPeer, apiPort] = await Promise.all([freePort(), freePort(), freePort()]);
  const { caPem, clientCertificate, clientKey } = await writeKeys(directory);
  const url = `https://127.0.0.1:${apiPort}`;
  const kubeconfig = writeKubeconfig(directory, { url, caPem, clientCertificate, clientKey });

  processes.start("etcd", etcdBinary(), [
    `--data-dir=${directory}/etcd`,
    `--listen-client-urls=http://127.0.0.1:${etcdClient}`,
    `--advertise-client-urls=http://127.0.0.1:${etcdClient}`,
    `--listen-peer-urls=http://127.0.0.1:${etcdPeer}`,
    `--initial-advertise-peer-urls=http://127.0.0.1:${etcdPeer}`,
    `--initial-cluster=default=http://127.0.0.1:${etcdPeer}`,
    "--unsafe-no-fsync",
  ]);
  const apiserverArgs = argumentsOf(directory, etcdClient, apiPort, options);
  const startApiServer = async (): Promise<void> => {
    processes.start("kube-apiserver", kubernetesBinary("kube-apiserver"), apiserverArgs);
    await ready(url, { caPem, clientCertificate, clientKey }, processes);
  };
  const stop = async (): Promise<void> => {
    await processes.stop();
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    await startApiServer();
    if (options.controllerManager === true) startControllerManager(processes, directory, kubeconfig);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    url,
    kubeconfig,
    caPem,
    directory,
    auditEvents: () =>
      readFileSync(join(directory, "audit.log"), "utf8")
        .split("\n")
        .filter((line) => line !== "")
        .map((line): unknown => JSON.parse(line)),
    restartApiServer: async () => {
      await processes.stop("kube-apiserver");
      await startApiServer();
    },
    [Symbol.asyncDispose]: stop,
  };
}

function argumentsOf(
  directory: string,
  etcdPort: number,
  port: number,
  options: ControlPlaneOptions,
): string[] {
  const gates = Object.entries(options.featureGates ?? {}).map(([name, on]) => `${name}=${on}`);
  return [
    `--etcd-servers=http://127.0.0.1:${etcdPort}`,
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
    `--audit-log-path=${directory}/audit.log`,
    "--audit-log-mode=blocking-strict",
    ...(gates.length === 0 ? [] : [`--feature-gates=${gates.join(",")}`]),
    ...(options.apiserverArgs ?? []),
  ];
}

function startControllerManager(processes: Processes, directory: string, kubeconfig: string): void {
  processes.start("kube-controller-manager", kubernetesBinary("kube-controller-manager"), [
    `--kubeconfig=${kubeconfig}`,
    `--service-account-private-key-file=${directory}/sa.key`,
    `--root-ca-file=${directory}/ca.crt`,
    "--leader-elect=false",
    "--secure-port=0",
  ]);
}

interface Credentials {
  readonly caPem: string;
  readonly clientCertificate: string;
  readonly clientKey: string;
}

async function writeKeys(directory: string): Promise<Credentials> {
  const authority = await createAuthority({ commonName: "cluster-ca", days: 30 });
  const server = await issueCertificate(authority, {
    commonName: "kube-apiserver",
    dnsNames: ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"],
    ipAddresses: ["127.0.0.1", "10.96.0.1"],
    days: 30,
    usage: "server",
  });
  const admin = await issueCertificate(authority, {
    commonName: "admin",
    organization: "system:masters",
    dnsNames: [],
    ipAddresses: [],
    days: 30,
    usage: "client",
  });
  const account = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const files: Record<string, string> = {
    "ca.crt": authority.certificatePem,
    "apiserver.crt": server.certificatePem,
    "apiserver.key": server.privateKeyPem ?? "",
    "sa.key": account.privateKey.export({ type: "sec1", format: "pem" }).toString(),
    "sa.pub": account.publicKey.export({ type: "spki", format: "pem" }).toString(),
    "audit-policy.yaml":
      "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived, ResponseStarted]\nrules: [{level: Metadata}]\n",
  };
  for (const [name, text] of Object.entries(files))
    writeFileSync(join(directory, name), text, { mode: 0o600 });
  return {
    caPem: authority.certificatePem,
    clientCertificate: admin.certificatePem,
    clientKey: admin.privateKeyPem ?? "",
  };
}

function writeKubeconfig(directory: string, admin: Credentials & { url: string }): string {
  const base64 = (text: string): string => Buffer.from(text).toString("base64");
  const path = join(directory, "admin.kubeconfig");
  const config = {
    apiVersion: "v1",
    kind: "Config",
    "current-context": "test",
    clusters: [
      { name: "test", cluster: { server: admin.url, "certificate-authority-data": base64(admin.caPem) } },
    ],
    users: [
      {
        name: "admin",
        user: {
          "client-certificate-data": base64(admin.clientCertificate),
          "client-key-data": base64(admin.clientKey),
        },
      },
    ],
    contexts: [{ name: "test", context: { cluster: "test", user: "admin" } }],
  };
  writeFileSync(path, JSON.stringify(config), { mode: 0o600 });
  return path;
}

async function ready(url: string, credentials: Credentials, processes: Processes): Promise<void> {
  const deadline = performance.now() + startTimeoutMs;
  while (performance.now() < deadline && processes.isRunning("kube-apiserver")) {
    if ((await statusOf(`${url}/readyz`, credentials)) === 200) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new CtrlmeshError("TIMEOUT", {
    what: `kube-apiserver is not ready: ${processes.logOf("kube-apiserver").slice(-1500)}`,
  });
}

function statusOf(url: string, credentials: Credentials): Promise<number> {
  return new Promise((resolve) => {
    const call = request(
      url,
      {
        ca: credentials.caPem,
        cert: credentials.clientCertificate,
        key: credentials.clientKey,
        timeout: 2000,
      },
      (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      },
    );
    call.on("timeout", () => call.destroy());
    call.on("error", () => resolve(0));
    call.end();
  });
}

/** Named child processes, each with a log file; they die with this process group. */
class Processes {
  readonly #logs: string;
  readonly #running = new Map<string, ChildProcess>();

  constructor(logs: string) {
    this.#logs = logs;
    mkdirSync(logs, { recursive: true });
  }

  start(name: string, binary: string, args: readonly string[]): void {
    const log = openSync(join(this.#logs, `${name}.log`), "a");
    const child = spawn(binary, args, { stdio: ["ignore", log, log] });
    child.on("error", () => this.#running.delete(name));
    child.on("exit", () => {
      if (this.#running.get(name) === child) this.#running.delete(name);
    });
    this.#running.set(name, child);
  }

  isRunning(name: string): boolean {
    return this.#running.has(name);
  }

  logOf(name: string): string {
    return readFileSync(join(this.#logs, `${name}.log`), "utf8");
  }

  /** Stops one, or all in reverse order of their start. */
  async stop(name?: string): Promise<void> {
    const names = name === undefined ? [...this.#running.keys()].reverse() : [name];
    for (const one of names) {
      const child = this.#running.get(one);
      if (child === undefined) continue;
      const gone = once(child, "exit");
      child.kill("SIGKILL");
      await gone;
    }
  }
}

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
}
