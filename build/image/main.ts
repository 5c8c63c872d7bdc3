import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { parseArgs } from "node:util";
import { version } from "#api/version";
import { root } from "../bundle.ts";
import { imageContents, imageRun } from "./image.ts";
import { withDirectories } from "./image-file.ts";
import { libraryFolders } from "./libraries.ts";
import { type ImageLayer, ociArchive } from "./oci-archive.ts";
import { sizeRows, withSizeTable } from "./size-table.ts";

/**
 * Builds the image without a container engine and without a registry, from this machine's Node and libraries:
 *
 *     node build/image/main.ts [--platform linux/amd64] [--tag NAME:TAG] [--output FILE.tar]
 *
 * The archive is loaded by `ctr -n k8s.io images import FILE.tar`, `docker load` or `podman load`; beside it lies the
 * bill of materials. The same input gives the same bytes. Another platform needs its own programs: --node-binary,
 * --node-version, --library-root and --iptables-root. --root DIR writes the image's files instead, for the
 * Dockerfile. --document puts the sizes into docs/install.md.
 */

const { values } = parseArgs({
  options: {
    platform: { type: "string", default: `linux/${process.arch === "arm64" ? "arm64" : "amd64"}` },
    tag: { type: "string", default: `docker.io/ctrlmesh/ctrlmesh:${version}` },
    output: { type: "string", default: "dist/ctrlmesh-image.tar" },
    root: { type: "string" },
    document: { type: "boolean", default: false },
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
  const rows = sizeRows(layers, archive);
  for (const [what, size] of rows) console.log(`${size.padStart(8)}  ${what}`);
  if (values.document) {
    const page = join(root, "docs/install.md");
    writeFileSync(page, withSizeTable(readFileSync(page, "utf8"), rows));
  }
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
