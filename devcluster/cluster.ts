import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Clock, systemClock } from "#runtime/clock";
import { type ApiServer, type ApiServerOptions, startApiServer } from "./main.ts";
import { WorkloadApi } from "./workloads/api.ts";
import type { ImageTable } from "./workloads/pod-life.ts";
import { PodRunner } from "./workloads/pod-runner.ts";
import { runStatefulSets } from "./workloads/statefulset.ts";

export interface DevClusterOptions extends Omit<ApiServerOptions, "clock"> {
  readonly images: ImageTable;
  readonly clock?: Clock;
  /** Longest pause before a restart of a container that keeps ending early. Default 5 s. */
  readonly maxRestartDelayMs?: number;
}

/** An embedded cluster: API server, StatefulSet controller and one node that runs pods as child processes. */
export interface DevCluster extends AsyncDisposable {
  readonly api: ApiServer;
  readonly pods: PodRunner;
  /** Path of the administrator's kubeconfig. */
  readonly kubeconfig: string;
  /** Temporary folder of this cluster, removed at the end; others may keep files there. */
  readonly folder: string;
}

const nodeName = "devcluster";

/**
 * Starts all of it; disposing it ends every pod and removes every file.
 *
 * @throws PORT_IN_USE
 */
export async function startCluster(options: DevClusterOptions): Promise<DevCluster> {
  const { clock = systemClock, log } = options;
  await using stack = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), "ctrlmesh-devcluster-"));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const api = stack.use(await startApiServer({ ...options, clock }));
  const kubeconfig = join(folder, "admin.kubeconfig");
  writeFileSync(kubeconfig, api.adminKubeconfig(), { mode: 0o600 });

  const workloads = stack.use(new WorkloadApi({ url: api.url, caPem: api.caPem, token: api.adminToken }));
  const stopping = new AbortController();
  const statefulSets = runStatefulSets({ api: workloads, clock, log, signal: stopping.signal });
  stack.defer(async () => {
    stopping.abort();
    await statefulSets;
  });
  const pods = stack.use(
    new PodRunner({
      api: workloads,
      images: options.images,
      baseEnvironment: { KUBERNETES_SERVICE_HOST: "127.0.0.1", KUBERNETES_SERVICE_PORT: String(api.port) },
      clock,
      log,
      folder: join(folder, "pods"),
      nodeName,
      maxRestartDelayMs: options.maxRestartDelayMs,
    }),
  );
  api.setPodLogs(pods);
  const running = stack.move();
  return { api, pods, kubeconfig, folder, [Symbol.asyncDispose]: () => running.disposeAsync() };
}
