import type { NodeCluster } from "../cluster/node/node-cluster.ts";
import { helm } from "./helm.ts";

/**
 * Runs a command of the docs as its reader would: from the root of the tree, against a cluster.
 *
 * @returns what it printed
 * @throws CHILD_PROCESS_FAILED with what Helm or kubectl said; Error for any other program
 */
export async function runDocumented(command: string, cluster: NodeCluster): Promise<string> {
  const [program, ...argv] = command.split(" ");
  if (program === "kubectl") return await cluster.kubectl().ok(argv);
  if (program === "helm") return await helm(argv, cluster.kubeconfig);
  throw new Error(`who runs ${program}?`);
}
