import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseAllDocuments } from "yaml";
import type { Condition, KubernetesObject } from "#api/meta";
import { annotations } from "#api/names";
import { type DevCluster, type DevClusterOptions, startCluster } from "#devcluster/cluster";
import type { RequestRecord } from "#devcluster/request-log";
import type { KubeConnection, ResourceKind } from "#kube/client/client";
import { connect } from "#kube/client/connect";
import { systemClock } from "#runtime/clock";
import { silentLog } from "#runtime/log";
import { eventually } from "./eventually.ts";
import { ManagerProcess } from "./manager-process.ts";

export const root = fileURLToPath(new URL("../..", import.meta.url));
const never = new AbortController().signal;

export const kinds = {
  namespaces: { group: "", version: "v1", resource: "namespaces", namespaced: false },
  configMaps: { group: "", version: "v1", resource: "configmaps", namespaced: true },
  pods: { group: "", version: "v1", resource: "pods", namespaced: true },
  shardingConfigs: {
    group: "ctrlmesh.kusionstack.io",
    version: "v1alpha1",
    resource: "shardingconfigs",
    namespaced: true,
  },
  ledgers: {
    group: "ctrlmesh.kusionstack.io",
    version: "v1alpha1",
    resource: "ownershipledgers",
    namespaced: true,
  },
} as const satisfies Record<string, ResourceKind>;

/** A whole mesh on the embedded cluster: our kinds applied, managers as processes, every request recorded. */
export class Mesh implements AsyncDisposable {
  readonly cluster: DevCluster;
  readonly client: KubeConnection;
  readonly requests: RequestRecord[] = [];
  readonly #managers: ManagerProcess[] = [];
  #managerKubeconfig: string | undefined;

  private constructor(cluster: DevCluster, client: KubeConnection) {
    this.cluster = cluster;
    this.client = client;
    cluster.api.onRequest((record) => this.requests.push(record));
  }

  /** Starts the cluster and applies CRDs and the manager's rights. */
  static async open(given: Pick<DevClusterOptions, "clock" | "maxRestartDelayMs"> = {}): Promise<Mesh> {
    const cluster = await startCluster({
      ...given,
      port: 0,
      log: silentLog,
      images: {
        ctrlmesh: [process.execPath, "--max-semi-space-size=1", join(root, "cli/main.ts")],
        "digest-operator": [process.execPath, join(root, "examples/operator/main.ts")],
      },
    });
    const client = await connect(
      { kubeconfigFile: cluster.kubeconfig, userAgent: "e2e", rateLimit: { qps: 10_000, burst: 10_000 } },
      { clock: systemClock, random: Math.random },
    );
    const mesh = new Mesh(cluster, client);
    for (const file of readdirSync(join(root, "crds")).filter((name) => name.endsWith(".yaml"))) {
      await mesh.applyFile(`crds/${file}`);
    }
    await mesh.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: "ctrlmesh" } });
    await mesh.applyFile("examples/install/manager-rbac.yaml");
    return mesh;
  }

  /** Makes a manager that is not started yet. */
  async manager(
    name = "ctrlmesh-manager-0",
    more: { proxyManagerAddress?: string; extraArgs?: readonly string[] } = {},
  ) {
    this.#managerKubeconfig ??= await this.#writeManagerKubeconfig();
    const { folder } = this.cluster;
    const manager = await ManagerProcess.create({
      name,
      kubeconfig: this.#managerKubeconfig,
      folder,
      ...more,
    });
    this.#managers.push(manager);
    return manager;
  }

  /** Server-side apply of one object. */
  async apply(object: KubernetesObject): Promise<KubernetesObject> {
    const { name = "", namespace } = object.metadata ?? {};
    return await this.client.patch(
      this.#kindOf(object),
      namespace === undefined ? { name } : { name, namespace },
      { type: "apply", body: object, force: true },
      { signal: never, fieldManager: "e2e" },
    );
  }

  async applyFile(path: string): Promise<void> {
    for (const document of parseAllDocuments(readFileSync(join(root, path), "utf8"))) {
      const object: unknown = document.toJS();
      if (typeof object === "object" && object !== null) await this.apply(object as KubernetesObject);
    }
  }

  /** Creates a namespace; `optIn` annotates it as kubectl annotate would. */
  async namespace(name: string, optIn = false): Promise<void> {
    await this.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name } });
    if (!optIn) return;
    const body = { metadata: { annotations: { [annotations.enableProxy]: "true" } } };
    await this.client.patch(kinds.namespaces, { name }, { type: "merge", body }, { signal: never });
  }

  async get(kind: ResourceKind, namespace: string | undefined, name: string): Promise<KubernetesObject> {
    return await this.client.get(kind, namespace === undefined ? { name } : { namespace, name }, {
      signal: never,
    });
  }

  async list(kind: ResourceKind, query: { namespace?: string; labelSelector?: string } = {}) {
    return (await this.client.list(kind, query, { signal: never })).items;
  }

  /** Waits until every ShardingConfig of a namespace is Ready for its newest generation. */
  async shardsReady(namespace: string, withinMs = 60_000): Promise<void> {
    let open: readonly string[] = [];
    const detail = (): string =>
      `${open.join("\n")}\n${this.#managers.map((manager) => manager.log().slice(-3000)).join("\n")}`;
    await eventually(
      `all shards in ${namespace} are ready`,
      async () => {
        const configs = await this.list(kinds.shardingConfigs, { namespace });
        open = configs.filter((config) => !isReady(config)).map(describe);
        return configs.length > 0 && open.length === 0;
      },
      { withinMs, detail },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const manager of this.#managers) await manager[Symbol.asyncDispose]();
    await this.client[Symbol.asyncDispose]();
    await this.cluster[Symbol.asyncDispose]();
  }

  async #writeManagerKubeconfig(): Promise<string> {
    const path = "/api/v1/namespaces/ctrlmesh/serviceaccounts/ctrlmesh-manager/token";
    const request = {
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenRequest",
      spec: { expirationSeconds: 86_400 },
    };
    const answer = (await this.client.raw("POST", path, request, { signal: never })) as {
      status: { token: string };
    };
    const file = join(this.cluster.folder, "manager.kubeconfig");
    writeFileSync(file, this.cluster.api.kubeconfigForToken(answer.status.token), { mode: 0o600 });
    return file;
  }

  #kindOf({ apiVersion = "", kind = "", metadata }: KubernetesObject): ResourceKind {
    const slash = apiVersion.indexOf("/");
    const lower = kind.toLowerCase();
    return {
      group: slash < 0 ? "" : apiVersion.slice(0, slash),
      version: apiVersion.slice(slash + 1),
      resource: lower.endsWith("y") ? `${lower.slice(0, -1)}ies` : `${lower}s`,
      namespaced: metadata?.namespace !== undefined,
    };
  }
}

export function conditionsOf(object: KubernetesObject): readonly Condition[] {
  return (object.status as { conditions?: readonly Condition[] } | undefined)?.conditions ?? [];
}

export function isReady(config: KubernetesObject): boolean {
  const ready = conditionsOf(config).find(({ type }) => type === "Ready");
  return ready?.status === "True" && ready.observedGeneration === config.metadata?.generation;
}

function describe(config: KubernetesObject): string {
  const conditions = conditionsOf(config).map(({ type, status, message }) => `${type}=${status} ${message}`);
  return `${config.metadata?.name}: ${conditions.join("; ")}`;
}
