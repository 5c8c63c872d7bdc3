import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { parseArgs } from "node:util";
import { version } from "#api/version";
import { imageContents, imageRun } from "./image.ts";
import { withDirectories } from "./image-file.ts";
import { libraryFolders } from "./libraries.ts";
import { type ImageLayer, ociArchive } from "./oci-archive.ts";

/**
 * Builds the image without a container engine and without a registry, from this machine's Node and libraries:
 *
 *     node build/image/main.ts [--platform linux/amd64] [--tag NAME:TAG] [--output FILE.tar]
 *
 * The archive is loaded by `ctr -n k8s.io images import FILE.tar`, `docker load` or `podman load`; beside it lies the
 * bill of materials. The same input gives the same bytes. Another platform needs its own programs: --node-binary,
 * --node-version, --library-root and --iptables-root. --root DIR writes the image's files instead, for the Dockerfile.
 */

const { values } = parseArgs({
  options: {
    platform: { type: "string", default: `linux/${process.arch === "arm64" ? "arm64" : "amd64"}` },
    tag: { type: "string", default: `docker.io/ctrlmesh/ctrlmesh:${version}` },
    output: { type: "string", default: "dist/ctrlmesh-image.tar" },
    root: { type: "string" },
    "node-binary": { type: "string", default: process.execPath },
    "node-version": { type: "string", default: process.versions.node },
    "library-root": { type: "string", default: "/" },
    "iptables-root": { type: "string", default: "/" },
  },
});

const architecture = values.platform.slice("linux/".length);
if (!Object.hasOwn(libraryFolders, architecture) || !values.platform.startsWith("linux/")) {
  throw new Error(`--platform ${values.platform}: linux/amd64 or linux/arm64`);
}
const { layers, sbom } = await imageContents({
  architecture: architecture as keyof typeof libraryFolders,
  nodeBinary: values["node-binary"],
  nodeVersion: values["node-version"],
  libraryRoot: values["library-root"],
  iptablesRoot: values["iptables-root"],
});
if (values.root === undefined) writeArchive(values.output);
else writeRoot(values.root, layers);

function writeArchive(output: string): void {
  const archive = ociArchive({
    architecture: architecture as keyof typeof libraryFolders,
    reference: values.tag,
    layers,
    run: imageRun,
  });
  mkdirSync(dirname(output), { recursive: true });
  writeFileSync(output, archive.bytes);
  writeFileSync(output.replace(/(\.tar)?$/, ".cdx.json"), sbom);
  const rows = layers.map(({ about, files }) => ({
    about,
    files: files.filter(({ kind }) => kind === "file").length,
    bytes: files.reduce((sum, entry) => sum + (entry.kind === "file" ? entry.content.length : 0), 0),
  }));
  for (const { about, files, bytes } of rows) {
    console.log(`${megabytes(bytes).padStart(8)}  ${about} (${files} files)`);
  }
  console.log(`${megabytes(archive.bytesOnDisk).padStart(8)}  on a node's disk`);
  console.log(`${megabytes(archive.compressedBytes).padStart(8)}  to pull`);
  console.log(`${values.tag} ${values.platform} ${archive.digest}`);
  console.log(relative(process.cwd(), output));
}

function writeRoot(folder: string, written: readonly ImageLayer[]): void {
  rmSync(folder, { recursive: true, force: true });
  for (const entry of withDirectories(written.flatMap(({ files }) => files))) {
    const path = join(folder, entry.path);
    mkdirSync(entry.kind === "directory" ? path : dirname(path), { recursive: true });
    if (entry.kind === "link") symlinkSync(entry.target, path);
    if (entry.kind === "file") writeFileSync(path, entry.content, { mode: entry.executable ? 0o755 : 0o644 });
  }
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
