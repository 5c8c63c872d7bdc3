import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { KubernetesObject } from "#api/meta";
import { WorkloadApi } from "#devcluster/workloads/api";
import { PodRunner } from "#devcluster/workloads/pod-runner";
import type { KubeConnection } from "#kube/client/client";
import { connect } from "#kube/client/connect";
import { systemClock } from "#runtime/clock";
import { silentLog } from "#runtime/log";
import { type ControlPlane, startControlPlane } from "../cluster/control-plane.ts";
import { type Kubectl, kubectl } from "../cluster/kubectl.ts";
import { operatorNamespace } from "../flow/digest-operators.ts";
import { eventually } from "../flow/eventually.ts";
import { ManagerProcess } from "../flow/manager-process.ts";
import { isReady, kinds, root } from "../flow/mesh.ts";
import { buildGoOperator } from "./go-operator.ts";

const never = new AbortController().signal;

/**
 * A mesh on a real control plane: kube-apiserver, kube-controller-manager and our manager with the rights of the
 * install files. There is no kubelet: pods that the API server has, injected by the webhook, are run by the pod
 * runner of the embedded cluster as processes.
 */
export class RealMesh implements AsyncDisposable {
  readonly plane: ControlPlane;
  readonly admin: Kubectl;
  readonly client: KubeConnection;
  readonly manager: ManagerProcess;
  /** Where operators write their records. */
  readonly recordsFolder: string;
  readonly #stack: AsyncDisposableStack;

  private constructor(facts: {
    plane: ControlPlane;
    admin: Kubectl;
    client: KubeConnection;
    manager: ManagerProcess;
    recordsFolder: string;
    stack: AsyncDisposableStack;
  }) {
    this.plane = facts.plane;
    this.admin = facts.admin;
    this.client = facts.client;
    this.manager = facts.manager;
    this.recordsFolder = facts.recordsFolder;
    this.#stack = facts.stack;
  }

  /** Boots all of it; the manager is made and not started. */
  static async open(version: string): Promise<RealMesh> {
    const operator = buildGoOperator();
    await using stack = new AsyncDisposableStack();
    const folder = mkdtempSync(join(tmpdir(), "ctrlmesh-reality-"));
    stack.defer(() => rmSync(folder, { recursive: true, force: true }));
    const recordsFolder = join(folder, "records");
    mkdirSync(recordsFolder);
    const plane = stack.use(
      await startControlPlane({
        version,
        controllerManager: true,
        // Nothing tells kube-controller-manager that the node of our pods lives.
        controllerManagerArgs: [
          "--controllers=*,-node-lifecycle-controller,-pod-garbage-collector-controller",
        ],
      }),
    );
    const admin = kubectl(plane.kubeconfig, version);
    await install(admin);
    const kubeconfigFile = plane.kubeconfig;
    const client = stack.use(
      await connect(
        { kubeconfigFile, userAgent: "e2e", rateLimit: { qps: 10_000, burst: 10_000 } },
        { clock: systemClock, random: Math.random },
      ),
    );
    stack.use(await startPodRunner({ plane, admin, folder, operator }));
    const manager = stack.use(
      await ManagerProcess.create({
        name: "ctrlmesh-manager-0",
        kubeconfig: await managerKubeconfig(plane, admin, folder),
        folder,
        // The lease of a killed leader must lapse before the next one leads.
        extraArgs: ["--lease-duration-seconds=3"],
      }),
    );
    return new RealMesh({ plane, admin, client, manager, recordsFolder, stack: stack.move() });
  }

  /** Client-side apply of some objects. */
  async apply(...items: readonly KubernetesObject[]): Promise<void> {
    await this.admin.ok(["apply", "-f", "-"], JSON.stringify({ apiVersion: "v1", kind: "List", items }));
  }

  async configMaps(labelSelector?: string): Promise<readonly KubernetesObject[]> {
    const query = labelSelector === undefined ? {} : { labelSelector };
    return (await this.client.list(kinds.configMaps, query, { signal: never })).items;
  }

  /** Waits until every ShardingConfig of the operators is Ready for its newest generation. */
  async shardsReady(): Promise<void> {
    const namespace = operatorNamespace;
    let seen = "";
    await eventually(
      "all shards are ready",
      async () => {
        const { items } = await this.client.list(kinds.shardingConfigs, { namespace }, { signal: never });
        seen = JSON.stringify(items.map(({ status }) => status));
        return items.length > 0 && items.every(isReady);
      },
      { withinMs: 60_000, detail: () => `${seen}\n${this.manager.log().slice(-3000)}` },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** Applies our kinds and the install files. */
export async function install(admin: Kubectl): Promise<void> {
  await admin.ok(["apply", "--server-side", "-f", join(root, "crds")]);
  await admin.ok(["wait", "--for=condition=Established", "--timeout=60s", "-f", join(root, "crds")]);
  await admin.ok(["create", "namespace", "ctrlmesh"]);
  for (const file of readdirSync(join(root, "examples/install")))
    await admin.ok(["apply", "-f", join(root, "examples/install", file)]);
}

interface PodRunnerFacts {
  readonly plane: ControlPlane;
  readonly admin: Kubectl;
  readonly folder: string;
  /** Path of the Go operator's program. */
  readonly operator: string;
}

async function startPodRunner({ plane, admin, folder, operator }: PodRunnerFacts): Promise<PodRunner> {
  const account = ["serviceaccount", "pod-runner", "-n", "kube-system"];
  await admin.ok(["create", ...account]);
  const binding = ["create", "clusterrolebinding", "pod-runner", "--clusterrole=cluster-admin"];
  await admin.ok([...binding, "--serviceaccount=kube-system:pod-runner"]);
  const token = (await admin.ok(["create", "token", "pod-runner", "-n", "kube-system"])).trim();
  const entrypoint = join(import.meta.dirname, "operator-entrypoint.ts");
  return new PodRunner({
    api: new WorkloadApi({ url: plane.url, caPem: plane.caPem, token }),
    images: {
      ctrlmesh: [process.execPath, "--max-semi-space-size=1", join(root, "cli/main.ts")],
      "operator-go": [process.execPath, entrypoint, operator],
    },
    baseEnvironment: {
      KUBERNETES_SERVICE_HOST: "127.0.0.1",
      KUBERNETES_SERVICE_PORT: new URL(plane.url).port,
    },
    clock: systemClock,
    log: silentLog,
    folder: join(folder, "pods"),
    nodeName: "node",
  });
}

/** A kubeconfig of the manager's service account, with its token only. */
export async function managerKubeconfig(
  plane: ControlPlane,
  admin: Kubectl,
  folder: string,
): Promise<string> {
  const token = (
    await admin.ok(["create", "token", "ctrlmesh-manager", "-n", "ctrlmesh", "--duration=2h"])
  ).trim();
  const config = JSON.parse(readFileSync(plane.kubeconfig, "utf8")) as { users: { user: unknown }[] };
  for (const entry of config.users) entry.user = { token };
  const file = join(folder, "manager.kubeconfig");
  writeFileSync(file, JSON.stringify(config), { mode: 0o600 });
  return file;
}
