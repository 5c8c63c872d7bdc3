import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Grant } from "#api/gen/ctrlmesh/v1/control_pb";
import { type ControlPlane, startControlPlane } from "../cluster/control-plane.ts";
import { type Kubectl, kubectl } from "../cluster/kubectl.ts";
import { eventually } from "../flow/eventually.ts";
import { ProxiedOperator } from "../proxied/proxied-operator.ts";
import { SnapshotManager } from "../proxied/snapshot-manager.ts";
import { lastingObjects, type View } from "./load/scene.ts";
import { ProxyProbe, probeOptions } from "./proxy-probe.ts";
import { StreamRelay } from "./stream-relay.ts";

/** Revisions older than this are thrown away; the API server itself never lives as long as its default of 5 minutes. */
const compactionInterval = "30s";

/** The control plane, the manager and the proxy of one soak. */
export class Stage implements AsyncDisposable {
  readonly plane: ControlPlane;
  readonly manager: SnapshotManager;
  readonly relay: StreamRelay;
  readonly proxy: ProxiedOperator;
  readonly probe: ProxyProbe;
  readonly #admin: Kubectl;
  readonly #stack: AsyncDisposableStack;

  private constructor(
    parts: Pick<Stage, "plane" | "manager" | "relay" | "proxy" | "probe">,
    admin: Kubectl,
    stack: AsyncDisposableStack,
  ) {
    this.plane = parts.plane;
    this.manager = parts.manager;
    this.relay = parts.relay;
    this.proxy = parts.proxy;
    this.probe = parts.probe;
    this.#admin = admin;
    this.#stack = stack;
  }

  /** @param preloads more modules to load into the proxy's process, for planted leaks */
  static async set(first: View, preloads: readonly string[]): Promise<Stage> {
    await using building = new AsyncDisposableStack();
    const [manager, plane] = await Promise.all([
      SnapshotManager.listen(),
      startControlPlane({
        apiserverArgs: [
          `--etcd-compaction-interval=${compactionInterval}`,
          "--audit-log-maxsize=50",
          "--audit-log-maxbackup=1",
        ],
      }),
    ]);
    building.use(plane);
    building.use(manager);
    const relay = building.use(await StreamRelay.listen(manager.port));
    const probeFile = join(plane.directory, "probe.json");
    writeFileSync(probeFile, '{"count":0}');
    const { nodeArguments, environment } = probeOptions(probeFile);
    const proxy = building.use(
      await ProxiedOperator.create({
        plane,
        managerPort: relay.port,
        meshCaPem: manager.authority.certificatePem,
        environment: { ...environment, CTRLMESH_LOG_LEVEL: "error" },
        nodeArguments: [...nodeArguments, ...preloads.flatMap((path) => ["--import", path])],
      }),
    );
    const admin = kubectl(plane.kubeconfig);
    const list = { apiVersion: "v1", kind: "List", items: lastingObjects() };
    await admin.ok(["create", "-f", "-"], JSON.stringify(list));
    proxy.start();
    await manager.show(rulesOf(first));
    await proxy.untilReady();
    const probe = new ProxyProbe(proxy.pid, probeFile);
    return new Stage({ plane, manager, relay, proxy, probe }, admin, building.move());
  }

  /** Sends a view; resolves when the proxy has acked it. */
  async show(view: View): Promise<void> {
    await this.manager.show(rulesOf(view));
  }

  /** Writes a new token where the proxy reads it, as the kubelet does. */
  async rotateToken(): Promise<string> {
    let token = "";
    // Some moments behind its restart the API server still refuses.
    await eventually("a new token", async () => {
      const answer = await this.#admin.ok(["create", "token", "operator", "-n", "op", "--duration=1h"]);
      token = answer.trim();
      return true;
    });
    writeFileSync(join(this.plane.directory, "operator-token"), token);
    return token;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

function rulesOf({ teams, fenced }: View): Parameters<SnapshotManager["show"]>[0] {
  const selector = (names: readonly string[]): string => `team in (${names.join(",")})`;
  return {
    grant: Grant.GRANTED,
    limits: [
      { groups: [""], resources: ["configmaps"], selector: selector(teams.configmaps) },
      { groups: [""], resources: ["secrets"], selector: selector(teams.secrets) },
      { groups: ["*"], resources: ["*"], selector: selector(teams.serviceaccounts) },
    ],
    unfilteredResources: [{ group: "", resource: "namespaces" }],
    unfilteredNamespaces: ["op"],
    fence: { namespaces: [...fenced] },
  };
}
