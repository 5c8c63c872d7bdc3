import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { KubernetesObject } from "#api/meta";
import { type ControlPlane, type ControlPlaneOptions, startControlPlane } from "../cluster/control-plane.ts";
import { type Kubectl, kubectl } from "../cluster/kubectl.ts";
import { eventually } from "../flow/eventually.ts";
import { ManagerProcess } from "../flow/manager-process.ts";
import { install, managerKubeconfig } from "../reality/real-mesh.ts";
import { type CommandOutput, ctrlmesh } from "./command.ts";

/** A finding as `ctrlmesh check -o json` prints it. */
export interface PrintedFinding {
  readonly level: string;
  readonly code: string;
  readonly where: string;
  readonly what: string;
  readonly remedy: string;
  readonly docs: string;
}

export interface PrintedReport {
  readonly ok: boolean;
  readonly checks: readonly { readonly name: string; readonly result: string; readonly summary: string }[];
  readonly findings: readonly PrintedFinding[];
}

/** A real control plane with our manager beside it, to be broken and mended. */
export interface CheckBed extends AsyncDisposable {
  readonly plane: ControlPlane;
  readonly admin: Kubectl;
  readonly manager: ManagerProcess;
  readonly folder: string;
  apply(...items: readonly KubernetesObject[]): Promise<void>;
  check(args?: readonly string[], kubeconfig?: string): Promise<PrintedReport & CommandOutput>;
}

/** Boots it, installs our kinds, and starts the manager unless told otherwise. */
export async function openCheckBed(options: ControlPlaneOptions = {}): Promise<CheckBed> {
  await using stack = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), "ctrlmesh-check-"));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const plane = stack.use(await startControlPlane({ controllerManager: true, ...options }));
  const admin = kubectl(plane.kubeconfig, plane.version);
  await install(admin);
  const manager = stack.use(
    await ManagerProcess.create({
      name: "ctrlmesh-manager-0",
      kubeconfig: await managerKubeconfig(plane, admin, folder),
      folder,
      extraArgs: ["--lease-duration-seconds=3"],
    }),
  );
  await manager.start();
  const open = stack.move();
  return {
    plane,
    admin,
    manager,
    folder,
    apply: async (...items) => {
      await admin.ok(["apply", "-f", "-"], JSON.stringify({ apiVersion: "v1", kind: "List", items }));
    },
    check: async (args = [], kubeconfig = plane.kubeconfig) => {
      const output = await ctrlmesh(kubeconfig, ["check", "-o", "json", ...args]);
      assert.match(output.stdout, /^\{/, output.stderr);
      return { ...(JSON.parse(output.stdout) as PrintedReport), ...output };
    },
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  };
}

/** Waits until the check finds no error, and returns its report. */
export async function healthy(bed: CheckBed): Promise<PrintedReport> {
  let report: PrintedReport | undefined;
  await eventually(
    "the check finds no error",
    async () => {
      report = await bed.check();
      return report.ok;
    },
    {
      withinMs: 90_000,
      detail: () => `${JSON.stringify(report?.findings, null, 2)}\n${bed.manager.log().slice(-2000)}`,
    },
  );
  return report ?? assert.fail();
}

const label = "ctrlmesh.kusionstack.io/namespace";

/** A shard of the operator `workload`: ConfigMaps of some namespaces, or of all but those. */
export function shard(
  namespace: string,
  name: string,
  claim: { readonly operator: "In" | "NotIn"; readonly values: readonly string[] },
  more: { readonly workload?: string; readonly lock?: string } = {},
): KubernetesObject {
  const { workload = "operator", lock } = more;
  return {
    apiVersion: "ctrlmesh.kusionstack.io/v1alpha1",
    kind: "ShardingConfig",
    metadata: { namespace, name },
    spec: {
      selector: {
        matchExpressions: [
          {
            key: "statefulset.kubernetes.io/pod-name",
            operator: "In",
            values: [`${workload}-${name.at(-1) === "a" ? 0 : 1}`],
          },
        ],
      },
      ...(lock === undefined ? {} : { controller: { leaderElectionName: lock } }),
      limits: [
        {
          relateResources: [{ apiGroups: [""], resources: ["configmaps"] }],
          selector: { matchExpressions: [{ key: label, ...claim }] },
        },
      ],
    },
  };
}

/** A pod as the StatefulSet of an operator makes it. There is no kubelet: it stays Pending. */
export function operatorPod(namespace: string, name: string): KubernetesObject {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { namespace, name, labels: { "statefulset.kubernetes.io/pod-name": name } },
    spec: { containers: [{ name: "operator", image: "operator" }] },
  };
}

export function namespaceObject(name: string, isOptedIn = false): KubernetesObject {
  const annotations = isOptedIn ? { "ctrlmesh.kusionstack.io/enable-proxy": "true" } : {};
  return { apiVersion: "v1", kind: "Namespace", metadata: { name, annotations } };
}
