import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { CtrlmeshError } from "#api/errors";
import {
  cacheDirectory,
  etcdBinary,
  etcdVersion,
  kubernetesBinaries,
  kubernetesBinary,
  missingBinaries,
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
  mkdirSync(cacheDirectory, { recursive: true });
  const steps = missingBinaries(versions).length;
  let step = 0;
  const built: Progress = (what, build) => {
    const startMs = performance.now();
    say(`[${++step}/${steps}] building ${what}`);
    build();
    say(`[${step}/${steps}] built ${what} in ${((performance.now() - startMs) / 1000).toFixed(0)} s`);
  };
  if (!existsSync(etcdBinary())) buildEtcd(built);
  for (const version of versions) buildKubernetes(version, built);
}

/** Tells of a step before and after it. */
type Progress = (what: string, build: () => void) => void;

function buildEtcd(built: Progress): void {
  const source = join(cacheDirectory, `etcd-${etcdVersion}`, "src");
  mkdirSync(source, { recursive: true });
  writeFileSync(
    join(source, "go.mod"),
    `module ctrlmesh.local/etcd\n\ngo 1.26\n\nrequire go.etcd.io/etcd/server/v3 v${etcdVersion}\n`,
  );
  writeFileSync(
    join(source, "main.go"),
    'package main\n\nimport (\n\t"os"\n\n\t"go.etcd.io/etcd/server/v3/etcdmain"\n)\n\nfunc main() { etcdmain.Main(os.Args) }\n',
  );
  built(`etcd ${etcdVersion}`, () => {
    go(["mod", "tidy"], source);
    compile(source, ".", etcdBinary(), "-s -w");
  });
}

function buildKubernetes(version: string, built: Progress): void {
  const wanted = kubernetesBinaries.filter((name) => !existsSync(kubernetesBinary(name, version)));
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
  const download = go(["mod", "download", "-json", `k8s.io/kubernetes@v${version}`], source, false);
  const { Dir: folder } = JSON.parse(download) as { Dir: string };
  const upstream = readFileSync(join(folder, "go.mod"), "utf8");
  const goVersion = /^go (\S+)$/m.exec(upstream)?.[1] ?? "1.26";
  const staging = [...upstream.matchAll(/^\s*(k8s\.io\/\S+) => \.\/staging/gm)].map((match) => match[1]);
  const replaces = staging.map((module) => `replace ${module} => ${module} v0.${version.slice(2)}`);
  writeFileSync(
    join(source, "go.mod"),
    `module ctrlmesh.local/kubernetes\n\ngo ${goVersion}\n\nrequire k8s.io/kubernetes v${version}\n\n${replaces.join("\n")}\n`,
  );
  const imports = kubernetesBinaries.map((name) => `\t_ "k8s.io/kubernetes/cmd/${name}"`).join("\n");
  writeFileSync(join(source, "tools.go"), `//go:build tools\n\npackage tools\n\nimport (\n${imports}\n)\n`);
}

function linkerFlags(version: string): string {
  const [major, minor] = version.split(".");
  const package_ = "k8s.io/component-base/version";
  return `-s -w -X ${package_}.gitVersion=v${version} -X ${package_}.gitMajor=${major} -X ${package_}.gitMinor=${minor}`;
}

/** Compiles to a temporary name first, so that a build cut short leaves no half binary under the final one. */
function compile(source: string, target: string, binary: string, flags: string): void {
  mkdirSync(dirname(binary), { recursive: true });
  go(["build", "-ldflags", flags, "-o", `${binary}.partial`, target], source);
  renameSync(`${binary}.partial`, binary);
}

function go(args: readonly string[], cwd: string, inModule = true): string {
  const result = spawnSync("go", args, {
    cwd: inModule ? cwd : cacheDirectory,
    env: { ...process.env, CGO_ENABLED: "0", GOFLAGS: "-buildvcs=false" },
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  if (result.status === 0) return result.stdout;
  throw new CtrlmeshError("CHILD_PROCESS_FAILED", {
    what: `go ${args.join(" ")} failed: ${(result.stderr ?? "").slice(-2000)}`,
    hint: "the real control plane is built with Go 1.26 from Go modules",
    cause: result.error,
  });
}
