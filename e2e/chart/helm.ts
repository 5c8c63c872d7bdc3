import { execFile } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { parseAllDocuments } from "yaml";
import { CtrlmeshError } from "#api/errors";
import type { KubernetesObject } from "#api/meta";
import { helmBinary, kubernetesVersion } from "../cluster/versions.ts";

const run = promisify(execFile);
const outputLimitBytes = 64 * 1024 * 1024;

const root = fileURLToPath(new URL("../..", import.meta.url));
export const chart = join(root, "charts/ctrlmesh");
export const release = { name: "ctrlmesh", namespace: "ctrlmesh" } as const;

/** A value as `--set-json` takes it: dotted path and JSON. */
export type ChartValues = Readonly<Record<string, unknown>>;

/**
 * Runs Helm to its end. Nothing of the user's own configuration is read.
 *
 * @param kubeconfig of the cluster, for what needs one
 * @returns standard output
 * @throws CHILD_PROCESS_FAILED with what Helm said
 */
export async function helm(argv: readonly string[], kubeconfig = "/nonexistent"): Promise<string> {
  const env = {
    PATH: "/usr/bin:/bin",
    HOME: "/nonexistent",
    HELM_CACHE_HOME: "/nonexistent",
    KUBECONFIG: kubeconfig,
  };
  try {
    const { stdout } = await run(helmBinary(), argv, { cwd: root, env, maxBuffer: outputLimitBytes });
    return stdout;
  } catch (thrown) {
    const { stdout = "", stderr = "" } = thrown as { stdout?: string; stderr?: string };
    throw new CtrlmeshError("CHILD_PROCESS_FAILED", {
      what: `helm ${argv.join(" ")}: ${stderr}${stdout}`,
      cause: thrown,
    });
  }
}

/** Arguments that carry values. */
export function valueArguments(values: ChartValues): readonly string[] {
  return Object.entries(values).flatMap(([path, value]) => [
    "--set-json",
    `${path}=${JSON.stringify(value)}`,
  ]);
}

/** What `helm template` makes of the chart, hooks and tests included, as text. */
export async function render(values: ChartValues = {}, version = kubernetesVersion): Promise<string> {
  const { name, namespace } = release;
  const argv = ["template", name, chart, "--namespace", namespace, "--kube-version", version];
  return await helm([...argv, ...valueArguments(values)]);
}

/** Objects of rendered manifests. */
export function objectsOf(manifests: string): readonly KubernetesObject[] {
  return parseAllDocuments(manifests)
    .map((document): unknown => document.toJS())
    .filter((object): object is KubernetesObject => typeof object === "object" && object !== null);
}
