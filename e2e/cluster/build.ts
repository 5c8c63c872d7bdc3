import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { compile, go } from "./go.ts";
import {
  cacheDirectory,
  corednsBinary,
  corednsVersion,
  etcdBinary,
  etcdVersion,
  helmBinary,
  helmVersion,
  type KubernetesBinary,
  kubernetesBinaries,
  kubernetesBinary,
  missingBinaries,
  missingNodeBinaries,
  nodeBinaries,
} from "./versions.ts";

/**
 * Builds etcd, and kube-apiserver, kube-controller-manager and kubectl of each version, from Go modules into the
 * cache; what is there already is left alone. Needs `go`. Cold: about 6 minutes a version on 2 cores.
 *
 * @param versions Kubernetes versions without the "v", as the module proxy has them
 * @param say called with one line per step
 * @throws CHILD_PROCESS_FAILED with the end of the compiler's output
 */
export function buildControlPlane(versions: readonly string[], say: (line: string) => void): void {
  const built = progress(missingBinaries(versions).length, say);
  if (!existsSync(etcdBinary())) buildEtcd(built);
  for (const version of versions) buildKubernetes(version, kubernetesBinaries, built);
}

/**
 * Builds in the same way what nodes need besides: kubelet, kube-proxy and kube-scheduler of each version, CoreDNS,
 * and Helm. Cold: about 6 minutes a version and 5 for the rest, on 2 cores.
 *
 * @throws CHILD_PROCESS_FAILED with the end of the compiler's output
 */
export function buildNodes(versions: readonly string[], say: (line: string) => void): void {
  const built = progress(missingNodeBinaries(versions).length, say);
  for (const version of versions) buildKubernetes(version, nodeBinaries, built);
  if (!existsSync(corednsBinary())) buildCoredns(built);
  if (!existsSync(helmBinary())) buildHelm(built);
}

/** Tells of a step before and after it. */
type Progress = (what: string, build: () => void) => void;

function progress(steps: number, say: (line: string) => void): Progress {
  mkdirSync(cacheDirectory, { recursive: true });
  let step = 0;
  return (what, build) => {
    const startMs = performance.now();
    say(`[${++step}/${steps}] building ${what}`);
    build();
    say(`[${step}/${steps}] built ${what} in ${((performance.now() - startMs) / 1000).toFixed(0)} s`);
  };
}

function buildEtcd(built: Progress): void {
  const source = writeProgram(`etcd-${etcdVersion}`, {
    module: `go.etcd.io/etcd/server/v3 v${etcdVersion}`,
    main: 'import (\n\t"os"\n\n\t"go.etcd.io/etcd/server/v3/etcdmain"\n)\n\nfunc main() { etcdmain.Main(os.Args) }\n',
  });
  built(`etcd ${etcdVersion}`, () => {
    go(["mod", "tidy"], source);
    compile(source, ".", etcdBinary(), "-s -w");
  });
}

/** Of its plugins only what our configuration names: the others bring the clients of whole clouds. */
const corednsPlugins = ["cache", "errors", "health", "kubernetes", "log", "ready", "reload", "template"];

function buildCoredns(built: Progress): void {
  const plugins = corednsPlugins.map((name) => `\t_ "github.com/coredns/coredns/plugin/${name}"`).join("\n");
  const source = writeProgram(`coredns-${corednsVersion}`, {
    module: `github.com/coredns/coredns v${corednsVersion}`,
    main: `import (\n\t"github.com/coredns/coredns/coremain"\n${plugins}\n)\n\nfunc main() { coremain.Run() }\n`,
  });
  built(`CoreDNS ${corednsVersion}`, () => {
    go(["mod", "tidy"], source);
    compile(source, ".", corednsBinary(), "-s -w");
  });
}

function buildHelm(built: Progress): void {
  const folder = dirname(helmBinary());
  const partial = join(folder, "partial");
  mkdirSync(partial, { recursive: true });
  built(`Helm ${helmVersion}`, () => {
    const package_ = `helm.sh/helm/v3/cmd/helm@v${helmVersion}`;
    go(
      ["install", "-ldflags", `-s -w -X helm.sh/helm/v3/internal/version.version=v${helmVersion}`, package_],
      folder,
      {
        GOBIN: partial,
      },
    );
    renameSync(join(partial, "helm"), helmBinary());
  });
}

/** A module of one file that runs what another module offers as a library. @returns its folder */
function writeProgram(
  folder: string,
  { module, main }: { readonly module: string; readonly main: string },
): string {
  const source = join(cacheDirectory, folder, "src");
  mkdirSync(source, { recursive: true });
  const name = folder.replace(/-.*/, "");
  writeFileSync(join(source, "go.mod"), `module ctrlmesh.local/${name}\n\ngo 1.26\n\nrequire ${module}\n`);
  writeFileSync(join(source, "main.go"), `package main\n\n${main}`);
  return source;
}

function buildKubernetes(version: string, names: readonly KubernetesBinary[], built: Progress): void {
  const wanted = names.filter((name) => !existsSync(kubernetesBinary(name, version)));
  if (wanted.length === 0) return;
  const source = join(cacheDirectory, `kubernetes-${version}`, "src", "kubernetes");
  mkdirSync(source, { recursive: true });
  writeModule(source, version);
  go(["mod", "tidy"], source);
  for (const name of wanted) {
    const binary = kubernetesBinary(name, version);
    built(`${name} ${version}`, () =>
      compile(source, `k8s.io/kubernetes/cmd/${name}`, binary, linkerFlags(version)),
    );
  }
}

/** A module that requires Kubernetes and takes its staging modules as published: v1.MINOR.PATCH is v0.MINOR.PATCH there. */
function writeModule(source: string, version: string): void {
  const download = go(["mod", "download", "-json", `k8s.io/kubernetes@v${version}`], cacheDirectory);
  const { Dir: folder } = JSON.parse(download) as { Dir: string };
  const upstream = readFileSync(join(folder, "go.mod"), "utf8");
  const goVersion = /^go (\S+)$/m.exec(upstream)?.[1] ?? "1.26";
  const staging = [...upstream.matchAll(/^\s*(k8s\.io\/\S+) => \.\/staging/gm)].map((match) => match[1]);
  const replaces = staging.map((module) => `replace ${module} => ${module} v0.${version.slice(2)}`);
  writeFileSync(
    join(source, "go.mod"),
    `module ctrlmesh.local/kubernetes\n\ngo ${goVersion}\n\nrequire k8s.io/kubernetes v${version}\n\n${replaces.join("\n")}\n`,
  );
  const imports = [...kubernetesBinaries, ...nodeBinaries]
    .map((name) => `\t_ "k8s.io/kubernetes/cmd/${name}"`)
    .join("\n");
  writeFileSync(join(source, "tools.go"), `//go:build tools\n\npackage tools\n\nimport (\n${imports}\n)\n`);
}

function linkerFlags(version: string): string {
  const [major, minor] = version.split(".");
  const package_ = "k8s.io/component-base/version";
  return `-s -w -X ${package_}.gitVersion=v${version} -X ${package_}.gitMajor=${major} -X ${package_}.gitMinor=${minor}`;
}
