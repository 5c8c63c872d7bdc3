import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** Versions of the real parts that the tests run, without the "v". */
export const kubernetesVersion = process.env.CTRLMESH_KUBERNETES_VERSION ?? "1.36.3";
/**
 * Two minor versions behind, the skew that users have: its API server serves no MutatingAdmissionPolicy v1 and
 * knows no sharded lists.
 */
export const olderKubernetesVersion = "1.34.4";
export const etcdVersion = "3.7.3";
export const corednsVersion = "1.14.7";
export const helmVersion = "3.22.0";

/** What the tests run, newest first. */
export const testedVersions: readonly string[] = [kubernetesVersion, olderKubernetesVersion];

/** Built binaries are kept here, by version. */
export const cacheDirectory = process.env.CTRLMESH_CACHE ?? join(homedir(), ".cache", "ctrlmesh");

export const kubernetesBinaries = ["kube-apiserver", "kube-controller-manager", "kubectl"] as const;
/** What a node runs besides, and what lets its pods be scheduled. */
export const nodeBinaries = ["kube-scheduler", "kubelet", "kube-proxy"] as const;
export type KubernetesBinary = (typeof kubernetesBinaries)[number] | (typeof nodeBinaries)[number];

export function kubernetesBinary(name: KubernetesBinary, version = kubernetesVersion): string {
  return join(cacheDirectory, `kubernetes-${version}`, "bin", name);
}

export function etcdBinary(): string {
  return join(cacheDirectory, `etcd-${etcdVersion}`, "etcd");
}

export function corednsBinary(): string {
  return join(cacheDirectory, `coredns-${corednsVersion}`, "coredns");
}

/** Helm 3, for tests of the chart. */
export function helmBinary(): string {
  return join(cacheDirectory, `helm-${helmVersion}`, "helm");
}

/** What control planes of these versions need and the cache does not hold yet. */
export function missingBinaries(versions: readonly string[] = testedVersions): string[] {
  const wanted = [
    etcdBinary(),
    ...versions.flatMap((version) => kubernetesBinaries.map((name) => kubernetesBinary(name, version))),
  ];
  return wanted.filter((path) => !existsSync(path));
}

/** What nodes of these versions need besides and the cache does not hold yet. */
export function missingNodeBinaries(versions: readonly string[] = testedVersions): string[] {
  const wanted = [
    corednsBinary(),
    helmBinary(),
    ...versions.flatMap((version) => nodeBinaries.map((name) => kubernetesBinary(name, version))),
  ];
  return wanted.filter((path) => !existsSync(path));
}
