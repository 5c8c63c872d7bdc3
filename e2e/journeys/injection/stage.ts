import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CtrlmeshError } from "#api/errors";
import type { KubernetesObject } from "#api/meta";
import type { Kubectl } from "../../cluster/kubectl.ts";
import { programImage } from "../../cluster/node/images.ts";
import { type NodeCluster, startNodeCluster } from "../../cluster/node/node-cluster.ts";
import { kubernetesVersion } from "../../cluster/versions.ts";
import { eventually } from "../../flow/eventually.ts";
import { root } from "../../flow/mesh.ts";
import { buildGoOperator } from "../../reality/go-operator.ts";
import { install } from "../../reality/real-mesh.ts";
import type { ClientTargets } from "./client.ts";
import {
  type ManagerSettings,
  managerManifests,
  meshImage,
  operatorImage,
  operatorRights,
  shardingConfig,
} from "./manifests.ts";

/** A whole cluster with our image and our manager in it, and an operator's image that knows nothing of us. */
export class InjectionStage implements AsyncDisposable {
  readonly cluster: NodeCluster;
  readonly admin: Kubectl;
  /** Addresses of the API server, for clients. */
  readonly addresses: Pick<ClientTargets, "ipv4" | "ipv6" | "endpoint">;

  private constructor(cluster: NodeCluster, addresses: InjectionStage["addresses"]) {
    this.cluster = cluster;
    this.admin = cluster.kubectl();
    this.addresses = addresses;
  }

  /** Boots it; the Service `kubernetes` has addresses of both families. No manager runs yet. */
  static async open(version = kubernetesVersion): Promise<InjectionStage> {
    const operator = programImage({
      program: buildGoOperator(),
      reference: operatorImage,
      user: "65532:65532",
    });
    const [cluster, archive] = [await startNodeCluster({ version }), buildMeshImage()];
    try {
      await cluster.loadImage(archive.file);
      await cluster.loadImage(operator);
      const admin = cluster.kubectl();
      const addresses = await makeDualStack(admin, cluster);
      await install(admin);
      const stage = new InjectionStage(cluster, addresses);
      await stage.apply([operatorRights]);
      return stage;
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    } finally {
      archive[Symbol.dispose]();
    }
  }

  /** Installs the manager, or lets one with another setting take its place. Its webhooks answer when it resolves. */
  async runManager(settings: ManagerSettings): Promise<void> {
    await this.apply(managerManifests(settings));
    await this.rolledOut("ctrlmesh", "deployment/ctrlmesh-manager");
    const probe = JSON.stringify(shardingConfig("default", "probe", { app: "probe" }, "probe"));
    let said = "";
    await eventually(
      "the manager's webhooks answer",
      async () => {
        const { exitCode, stderr } = await this.admin.run(["apply", "--dry-run=server", "-f", "-"], probe);
        said = stderr;
        return exitCode === 0;
      },
      { withinMs: 60_000, detail: () => said },
    );
  }

  /** @param workload such as `deployment/operator` */
  async rolledOut(namespace: string, workload: string): Promise<void> {
    await this.admin.ok(["rollout", "status", workload, "-n", namespace, "--timeout=120s"]);
  }

  async pods(namespace: string): Promise<readonly RunningPod[]> {
    const { items } = (await this.admin.json(["get", "pods", "-n", namespace])) as {
      readonly items: readonly RunningPod[];
    };
    return items;
  }

  async apply(items: readonly KubernetesObject[]): Promise<void> {
    await this.admin.ok(["apply", "-f", "-"], JSON.stringify({ apiVersion: "v1", kind: "List", items }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cluster[Symbol.asyncDispose]();
  }
}

export interface RunningPod {
  readonly metadata: { readonly name: string; readonly annotations?: Readonly<Record<string, string>> };
  readonly spec: {
    readonly containers: readonly { readonly name: string }[];
    readonly initContainers?: readonly { readonly name: string }[];
  };
  readonly status: { readonly phase: string };
}

/** Of the sources as they are now. */
function buildMeshImage(): { readonly file: string } & Disposable {
  const folder = mkdtempSync(join(tmpdir(), "ctrlmesh-journey-"));
  const file = join(folder, "ctrlmesh.tar");
  const script = join(root, "build/image/main.ts");
  const { status, stderr } = spawnSync(process.execPath, [script, "--tag", meshImage, "--output", file], {
    encoding: "utf8",
  });
  if (status !== 0) throw new CtrlmeshError("CHILD_PROCESS_FAILED", { what: stderr });
  return { file, [Symbol.dispose]: () => rmSync(folder, { recursive: true }) };
}

interface Service {
  readonly spec: { readonly clusterIPs: readonly [string, string] };
}

async function makeDualStack(admin: Kubectl, { url }: NodeCluster): Promise<InjectionStage["addresses"]> {
  const patch = '{"spec":{"ipFamilyPolicy":"RequireDualStack"}}';
  await admin.ok(["patch", "service", "kubernetes", "-p", patch]);
  const { spec } = (await admin.json(["get", "service", "kubernetes"])) as Service;
  const [ipv4, ipv6] = spec.clusterIPs;
  const { hostname, port } = new URL(url);
  return { ipv4, ipv6, endpoint: { host: hostname, port: Number(port) } };
}
