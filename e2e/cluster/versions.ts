import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** Versions of the real parts that the tests run, without the "v". */
export const kubernetesVersion = process.env.CTRLMESH_KUBERNETES_VERSION ?? "1.36.3";
/** A kubectl two minor versions behind, for the skew that users have. */
export const olderKubectlVersion = "1.34.4";
export const etcdVersion = "3.7.3";

/** Built binaries are kept here, by version. */
export const cacheDirectory = process.env.CTRLMESH_CACHE ?? join(homedir(), ".cache", "ctrlmesh");

export type KubernetesBinary = "kube-apiserver" | "kube-controller-manager" | "kubectl";

export function kubernetesBinary(name: KubernetesBinary, version = kubernetesVersion): string {
  return join(cacheDirectory, `kubernetes-${version}`, "bin", name);
}

export function etcdBinary(): string {
  return join(cacheDirectory, `etcd-${etcdVersion}`, "etcd");
}

/** What a control plane needs and the cache does not hold yet. */
export function missingBinaries(): string[] {
  return [
    etcdBinary(),
    kubernetesBinary("kube-apiserver"),
    kubernetesBinary("kube-controller-manager"),
    kubernetesBinary("kubectl"),
    kubernetesBinary("kubectl", olderKubectlVersion),
  ].filter((path) => !existsSync(path));
}
