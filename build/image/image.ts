import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { proxyUid } from "#api/ports";
import { version } from "#api/version";
import { type BundleName, bundleProgram, root } from "../bundle.ts";
import { proxyProcess } from "../proxy-process.ts";
import { debianPackages } from "./debian-packages.ts";
import { parseElf } from "./elf.ts";
import { file, type ImageFile, link } from "./image-file.ts";
import { iptablesFiles } from "./iptables.ts";
import { type Libraries, librariesOf, libraryFolders } from "./libraries.ts";
import { bundledPackages, licenseText } from "./npm-packages.ts";
import type { Image, ImageLayer, ImageRun } from "./oci-archive.ts";
import { cycloneDx } from "./sbom.ts";

export interface ImageOptions {
  readonly architecture: Image["architecture"];
  /** Node's program for that architecture. */
  readonly nodeBinary: string;
  readonly nodeVersion: string;
  /** Folder under which the libraries of that architecture lie in `/usr/lib`. */
  readonly libraryRoot: string;
  /** Folder under which iptables lies in `/usr`. */
  readonly iptablesRoot: string;
}

export interface Contents {
  readonly layers: readonly ImageLayer[];
  /** CycloneDX document. */
  readonly sbom: string;
}

const programFolder = "/usr/lib/ctrlmesh";
const documentFolder = "/usr/share/doc/ctrlmesh";

/**
 * Everything in the image: Node, iptables, their libraries, the bundles. What changes least comes first, so that a
 * node that has the last version pulls only the bundles.
 *
 * One image serves proxy, manager and init container: iptables adds 1 % to it, while a second image would be pulled
 * once more to each node.
 *
 * @throws Error for a missing program or library, or one of another architecture
 */
export async function imageContents(options: ImageOptions): Promise<Contents> {
  const { architecture, nodeBinary, libraryRoot, iptablesRoot } = options;
  const node = readFileSync(nodeBinary);
  const found = parseElf(node).architecture;
  if (found !== architecture) {
    throw new Error(`${nodeBinary} is for ${found}; name one for ${architecture} with --node-binary`);
  }
  const iptables = iptablesFiles(iptablesRoot, libraryFolders[architecture]);
  const nodeLibraries = librariesOf([node], [libraryRoot]);
  const programs = iptables.flatMap((entry) => (entry.kind === "file" ? [entry.content] : []));
  const allIptablesLibraries = librariesOf(programs, [iptablesRoot, libraryRoot]);
  const iptablesLibraries = without(allIptablesLibraries, nodeLibraries);
  const bundles = await bundleFiles();
  const packages = bundledPackages(bundles.metafiles);
  const native = nativeParts([...nodeLibraries.files, ...iptables, ...iptablesLibraries.files], options);
  const sbom = cycloneDx({ nodeVersion: options.nodeVersion, npm: packages, native });
  const licenses = [
    { name: `Node.js ${options.nodeVersion}`, text: licenseText(dirname(dirname(nodeBinary))) },
    ...packages.map((npm) => ({ name: `${npm.name} ${npm.version}`, text: npm.licenseText })),
    ...[...new Map(native.map((part) => [part.package?.name, part.package])).values()].map((debian) => ({
      name: debian?.name ?? "",
      text: debian?.licenseText,
    })),
  ];
  return {
    sbom,
    layers: [
      {
        about: "Node.js with the libraries of C and C++",
        files: [file("/usr/bin/node", node, true), ...nodeLibraries.files, ...systemFiles],
      },
      {
        about: "iptables, nft and legacy, with its extensions",
        files: [...iptables, ...iptablesLibraries.files],
      },
      {
        about: "ctrlmesh: proxy, manager and CLI, licences, bill of materials",
        files: [
          ...bundles.files,
          link("/usr/bin/ctrlmesh", `..${programFolder.slice("/usr".length)}/ctrlmesh.cjs`),
          file(`${documentFolder}/sbom.cdx.json`, sbom),
          file(`${documentFolder}/LICENSE`, readFileSync(join(root, "LICENSE"))),
          file(`${documentFolder}/third-party-licenses.txt`, licenseBook(licenses)),
        ],
      },
    ],
  };
}

/**
 * How containers of the image start. The entry point is the proxy's, with its flags of Node, so that they are always
 * those of the Node in the image; any other command is `ctrlmesh COMMAND`.
 */
export const imageRun: ImageRun = {
  user: `${proxyUid}:${proxyUid}`,
  entrypoint: ["/usr/bin/node", ...proxyProcess.nodeFlags, `${programFolder}/proxy.cjs`],
  environment: { PATH: "/usr/sbin:/usr/bin", ...proxyProcess.environment },
  labels: {
    "org.opencontainers.image.title": "ctrlmesh",
    "org.opencontainers.image.version": version,
    "org.opencontainers.image.licenses": "Apache-2.0",
  },
};

/** What the C library asks for: who the user is, and that names are looked up in /etc/hosts first. */
const systemFiles: readonly ImageFile[] = [
  link("/lib", "usr/lib"),
  link("/lib64", "usr/lib64"),
  link("/bin", "usr/bin"),
  link("/sbin", "usr/sbin"),
  file(
    "/etc/passwd",
    `root:x:0:0:root:/:/sbin/nologin\nctrlmesh:x:${proxyUid}:${proxyUid}::/:/sbin/nologin\n`,
  ),
  file("/etc/group", `root:x:0:\nctrlmesh:x:${proxyUid}:\n`),
  file("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
];

/** Both bundles, under the interpreter of the image, which has no `env`. */
async function bundleFiles() {
  const folder = mkdtempSync(join(tmpdir(), "ctrlmesh-image-"));
  try {
    const built = await Promise.all(
      (["proxy", "ctrlmesh"] as const satisfies readonly BundleName[]).map(async (name) => {
        const path = join(folder, `${name}.cjs`);
        const metafile = await bundleProgram(name, path);
        const text = readFileSync(path, "utf8").replace(/^#!.*/, "#!/usr/bin/node");
        return { metafile, file: file(`${programFolder}/${name}.cjs`, text, true) };
      }),
    );
    return { metafiles: built.map(({ metafile }) => metafile), files: built.map((bundle) => bundle.file) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function without({ files, sources }: Libraries, present: Libraries): Libraries {
  return { files: files.filter(({ path }) => !present.sources.has(path)), sources };
}

/** Only of the system that builds is known which package a file comes from. */
function nativeParts(files: readonly ImageFile[], { libraryRoot, iptablesRoot }: ImageOptions) {
  const isSystem = libraryRoot === "/" && iptablesRoot === "/";
  const paths = files.flatMap(({ kind, path }) => (kind === "file" ? [path] : []));
  const packages = isSystem ? debianPackages(paths) : undefined;
  return files.map((entry) => ({ file: entry, package: packages?.get(entry.path) }));
}

function licenseBook(parts: readonly { readonly name: string; readonly text: string | undefined }[]): string {
  return parts
    .flatMap(({ name, text }) => (text === undefined ? [] : [`${"=".repeat(80)}\n${name}\n\n${text}\n`]))
    .join("\n");
}
