import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { CtrlmeshError, toCtrlmeshError } from "#api/errors";
import type { DevCluster } from "#devcluster/cluster";
import type { KubeConnection } from "#kube/client/client";
import { systemClock } from "#runtime/clock";
import { type Log, silentLog } from "#runtime/log";
import { awaitCondition } from "../await-condition.ts";
import { applyAll, readManifestFolder, readManifests } from "./manifests.ts";
import { operatorName } from "./phases.ts";

/** The cluster that the demo plays on: embedded API server, our kinds, and the manager as a process of its own. */
export interface Stage extends AsyncDisposable {
  readonly cluster: DevCluster;
  readonly client: KubeConnection;
}

const root = fileURLToPath(new URL("../..", import.meta.url));
const managerNamespace = "ctrlmesh";
const managerLimitMs = 30_000;

/** Starts the embedded cluster and opens a client to it. */
export async function openStage(port: number, log: Log = silentLog): Promise<Stage> {
  const [{ startCluster }, { connect }] = await Promise.all([
    import("#devcluster/cluster"),
    import("#kube/client/connect"),
  ]);
  await using stack = new AsyncDisposableStack();
  const cluster = stack.use(
    await startCluster({
      port,
      log,
      images: {
        ctrlmesh: [process.execPath, "--max-semi-space-size=1", join(root, "cli/main.ts")],
        [operatorName]: [process.execPath, join(root, "examples/operator/main.ts")],
      },
    }),
  );
  const client = stack.use(
    await connect(
      {
        kubeconfigFile: cluster.kubeconfig,
        userAgent: "ctrlmesh-demo",
        rateLimit: { qps: 1000, burst: 1000 },
      },
      { clock: systemClock, random: Math.random },
    ),
  );
  const open = stack.move();
  return { cluster, client, [Symbol.asyncDispose]: () => open.disposeAsync() };
}

/** Applies our kinds and the manager's rights. */
export async function installKinds({ client }: Stage, signal: AbortSignal): Promise<void> {
  await applyAll(client, readManifestFolder("crds"), signal);
  await applyAll(client, [namespaceObject(managerNamespace)], signal);
  await applyAll(client, readManifests("examples/install/manager-rbac.yaml"), signal);
}

export function namespaceObject(name: string) {
  return { apiVersion: "v1", kind: "Namespace", metadata: { name } };
}

/**
 * Starts the manager with the rights of its service account and waits until it is ready. Disposing it ends it.
 *
 * @throws CHILD_PROCESS_FAILED with the end of its log when it ends by itself
 */
export async function startManager(stage: Stage, signal: AbortSignal): Promise<AsyncDisposable> {
  const { cluster } = stage;
  const [control = 0, webhook = 0, http = 0] = await freePorts(3);
  const logFile = join(cluster.folder, "manager.log");
  const kubeconfig = join(cluster.folder, "manager.kubeconfig");
  writeFileSync(kubeconfig, cluster.api.kubeconfigForToken(await managerToken(stage, signal)), {
    mode: 0o600,
  });
  const child = spawn(
    process.execPath,
    [
      join(root, "cli/main.ts"),
      "manager",
      `--kubeconfig=${kubeconfig}`,
      `--namespace=${managerNamespace}`,
      "--pod-name=ctrlmesh-manager-0",
      "--pod-ip=127.0.0.1",
      "--listen-host=127.0.0.1",
      `--grpc-leader-election-port=${control}`,
      `--webhook-port=${webhook}`,
      "--webhook-host=127.0.0.1",
      `--http-bind-port=${http}`,
      // Not 127.0.0.1: in a pod that means the pod's own loopback.
      `--proxy-manager-address=localhost:${control}`,
      "--kubernetes-service-ip=127.0.0.1",
    ],
    { stdio: ["ignore", "pipe", "pipe"], env: { PATH: process.env.PATH ?? "" } },
  );
  const log = createWriteStream(logFile);
  child.stdout.pipe(log, { end: false });
  child.stderr.pipe(log, { end: false });
  const manager = managerProcess(child);
  try {
    await awaitCondition(() => isReady(http, child, logFile), {
      limitMs: managerLimitMs,
      signal,
      missing: () => `the manager is not ready: ${tailOf(logFile)}`,
    });
  } catch (error) {
    await manager[Symbol.asyncDispose]();
    throw error;
  }
  return manager;
}

function managerProcess(child: ChildProcess): AsyncDisposable {
  return {
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, "exit");
      using _deadline = systemClock.timer(5_000, () => child.kill("SIGKILL"));
      child.kill("SIGTERM");
      await gone;
    },
  };
}

async function isReady(port: number, child: ChildProcess, logFile: string): Promise<true | undefined> {
  if (child.exitCode !== null || child.signalCode !== null) {
    throw new CtrlmeshError("CHILD_PROCESS_FAILED", { what: `the manager ended: ${tailOf(logFile)}` });
  }
  try {
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`);
    return answer.ok ? true : undefined;
  } catch {
    return undefined; // not listening yet
  }
}

/** A token of the manager's service account, as a kubelet would mount it. */
async function managerToken({ client }: Stage, signal: AbortSignal): Promise<string> {
  const answer = await client.raw(
    "POST",
    `/api/v1/namespaces/${managerNamespace}/serviceaccounts/ctrlmesh-manager/token`,
    { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: { expirationSeconds: 86_400 } },
    { signal },
  );
  const token = (answer as { status?: { token?: unknown } }).status?.token;
  if (typeof token === "string") return token;
  throw new CtrlmeshError("API_REQUEST_FAILED", { what: "no token for the manager's service account" });
}

function tailOf(file: string): string {
  try {
    return readFileSync(file, "utf8").trim().split("\n").slice(-5).join(" | ");
  } catch (error) {
    return toCtrlmeshError(error).message;
  }
}

async function freePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      return server;
    }),
  );
  return servers.map((server) => {
    const address = server.address();
    server.close();
    return typeof address === "object" && address !== null ? address.port : 0;
  });
}
